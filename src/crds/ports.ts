/** Published ports. */
import { isIP } from "node:net";
import type { z } from "zod";
import { choice, int, list, object, ruled, text } from "./schema.ts";

/** As CEL's isIP: no zone, and no IPv4 address in the clothes of an IPv6 one. */
function isPlainIP(value: string): boolean {
  const version = isIP(value);
  if (version !== 6) return version === 4;
  // A URL's host is the address in its shortest form.
  return !value.includes("%") && !/^\[::ffff:[^:]+:[^:]+\]$/.test(new URL(`http://[${value}]`).hostname);
}

const hostIP = ruled(text("Address on the device to listen on. Unset: all.", { max: 45 }), [
  { rule: "isIP(self)", message: "write an IP address, e.g. 127.0.0.1", holds: isPlainIP },
]);

const port = ruled(
  object("One port.", {
    name: text("Name, for people.", {
      max: 63,
      pattern: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
      fix: "write lower-case letters, digits and -, e.g. http",
    }).exactOptional(),
    containerPort: int("Port that the process in the container listens on.", 1, 65_535),
    hostPort: int("Port on the device that leads to it. Unset: the port is not published.", 1, 65_535).exactOptional(),
    hostPortEnd: int(
      "Last port of a range that starts at hostPort; the device takes the first free one.",
      1,
      65_535,
    ).exactOptional(),
    hostIP: hostIP.exactOptional(),
    protocol: choice("Protocol; HTTPS where the vendor ends TLS before the container.", ["TCP", "UDP", "HTTPS"], {
      default: "TCP",
    }).exactOptional(),
  }),
  [
    {
      rule: "!has(self.hostPortEnd) || has(self.hostPort)",
      message: "hostPortEnd needs hostPort: set hostPort to the first port of the range",
      holds: (value) => value.hostPortEnd === undefined || value.hostPort !== undefined,
    },
    {
      rule: "!has(self.hostPortEnd) || !has(self.hostPort) || self.hostPortEnd >= self.hostPort",
      message: "hostPortEnd must not be below hostPort",
      holds: (value) =>
        value.hostPortEnd === undefined || value.hostPort === undefined || value.hostPortEnd >= value.hostPort,
    },
    {
      rule: "!has(self.hostIP) || has(self.hostPort)",
      message: "hostIP needs hostPort: set hostPort to the port on the device",
      holds: (value) => value.hostIP === undefined || value.hostPort !== undefined,
    },
  ],
);

/** CEL: the transport, as far as two ports can clash on it; HTTPS is TCP. */
const transport = (port: string) => `(has(${port}.protocol) && ${port}.protocol == "UDP")`;
/** CEL: the address, empty for all. */
const address = (port: string) => `(has(${port}.hostIP) ? ${port}.hostIP : "")`;

/** What a single published port takes on the device; undefined for an unpublished one and for a range, which looks for a free one. */
function claimOf(port: Port): string | undefined {
  if (port.hostPort === undefined || port.hostPortEnd !== undefined) return undefined;
  return `${port.hostPort} ${port.protocol === "UDP"} ${port.hostIP ?? ""}`;
}

/**
 * At most 100, which is the lowest limit among the backends (Hiveon). Without the rule over all of them, which costs the API server too
 * much inside a list of containers.
 */
export const portList = list("Ports of the container.", port, 100);

export const ports = ruled(portList, [
  {
    rule: `self.all(a, !has(a.hostPort) || has(a.hostPortEnd) || self.exists_one(b, has(b.hostPort) && !has(b.hostPortEnd) && a.hostPort == b.hostPort && ${transport("a")} == ${transport("b")} && ${address("a")} == ${address("b")}))`,
    message: "two ports have the same hostPort: give each its own",
    holds: (all) => {
      const claims = all.map(claimOf).filter((claim) => claim !== undefined);
      return new Set(claims).size === claims.length;
    },
  },
]);

export type Port = z.infer<typeof port>;
