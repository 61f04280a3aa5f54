/** The rest of what a container engine is told: network, privileges, devices, logging. */
import type { z } from "zod";
import { positiveQuantity, type QuantityForm } from "./quantity.ts";
import { choice, flag, int, list, object, ruled, text } from "./schema.ts";
import { absolutePath } from "./volumes.ts";

const HOST_NAME = /^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*$/;
const HOST_NAME_FIX = "write letters, digits and -, parts separated by ., e.g. web-1";

export const network = object("Network of the container.", {
  mode: choice(
    "Bridge: its own network behind the device's address. Host: the device's network itself.",
    ["Bridge", "Host"],
    { default: "Bridge" },
  ).exactOptional(),
  hostname: text("Host name inside the container. Unset: the backend's own.", {
    max: 64,
    pattern: HOST_NAME,
    fix: HOST_NAME_FIX,
  }).exactOptional(),
  domainname: text("Domain name inside the container. Unset: the backend's own.", {
    max: 64,
    pattern: HOST_NAME,
    fix: HOST_NAME_FIX,
  }).exactOptional(),
  extraHosts: list(
    "Further names in the container's hosts file, each name:address. Some backends know reserved addresses, e.g. host_ip on Kanto.",
    text("name:address", {
      max: 320,
      pattern: /^[^:\t\n\f\r ]+:[^\t\n\f\r ]+$/,
      fix: "write name:address, e.g. registry:10.0.0.5",
    }),
    64,
  ).exactOptional(),
});

export const securityContext = object("Privileges of the container.", {
  privileged: flag("Whether the container has all privileges and devices of the device.", {
    default: false,
  }).exactOptional(),
  capabilities: object("Linux capabilities.", {
    add: list(
      "Capabilities beyond the engine's own set, e.g. NET_ADMIN; the prefix CAP_ may be left out.",
      text("Name of a capability.", {
        max: 64,
        pattern: /^[A-Z][A-Z0-9_]*$/,
        fix: "write the name in upper case, e.g. NET_ADMIN",
      }),
      64,
    ).exactOptional(),
  }).exactOptional(),
});

const device = object("One device file.", {
  hostPath: absolutePath("Path of the device file on the device."),
  containerPath: absolutePath("Path in the container. Unset: hostPath.").exactOptional(),
  permissions: text("What the container may do: r read, w write, m create.", {
    max: 3,
    pattern: /^(r|w|m|rw|rm|wm|rwm)$/,
    fix: "write r, w and m in this order, e.g. rw",
    default: "rwm",
  }).exactOptional(),
});

export const devices = list("Device files that the container may use.", device, 64);

/** Logging with quantities of one form. */
function loggingWith(form: QuantityForm) {
  return ruled(
    object("How the device keeps the container's output. Unset fields: the backend's own.", {
      driver: choice("JsonFile: in files on the device. None: not at all.", ["JsonFile", "None"]).exactOptional(),
      maxFiles: int("How many files are kept.", 1, 1000).exactOptional(),
      maxSize: positiveQuantity("Size at which a file is closed.", "10Mi", form).exactOptional(),
      mode: choice("Blocking: the process waits for slow storage. NonBlocking: output may be lost instead.", [
        "Blocking",
        "NonBlocking",
      ]).exactOptional(),
      maxBufferSize: positiveQuantity("Buffer of NonBlocking.", "1Mi", form).exactOptional(),
      rootDir: absolutePath("Directory on the device for the files.").exactOptional(),
    }),
    [
      {
        rule: `!has(self.maxBufferSize) || (has(self.mode) && self.mode == "NonBlocking")`,
        message: "maxBufferSize counts only with mode NonBlocking: set mode too, or leave it out",
        holds: (value) => value.maxBufferSize === undefined || value.mode === "NonBlocking",
      },
    ],
  );
}

export const logging = loggingWith("Full");

/** For templates in lists. */
export const plainLogging = loggingWith("Plain");

export type Network = z.infer<typeof network>;
export type SecurityContext = z.infer<typeof securityContext>;
export type DeviceFile = z.infer<typeof device>;
export type Logging = z.infer<typeof logging>;
