/** Mounts of directories or files of the device, and of named volumes. */
import type { z } from "zod";
import { choice, flag, list, object, ruled, text } from "./schema.ts";
import { exactlyOne } from "./references.ts";

/** Longest path (PATH_MAX). */
export const LONGEST_PATH = 4096;

/** An absolute path. */
export function absolutePath(description: string) {
  return text(description, { max: LONGEST_PATH, pattern: /^\//, fix: "write an absolute path, e.g. /data" });
}

const volume = ruled(
  object("One mount.", {
    hostPath: absolutePath("Absolute path on the device; it must exist there.").exactOptional(),
    volumeName: text("Name of a volume that the backend keeps.", {
      max: 63,
      pattern: /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/,
      fix: "begin with a letter or digit and go on with these, _, . and -",
    }).exactOptional(),
    mountPath: absolutePath("Absolute path in the container."),
    readOnly: flag("Whether the container may only read.", { default: false }).exactOptional(),
    propagation: choice("Mount propagation, in the kernel's words. Unset: the backend's own.", [
      "RPrivate",
      "Private",
      "RShared",
      "Shared",
      "RSlave",
      "Slave",
    ]).exactOptional(),
  }),
  [
    exactlyOne<{ hostPath?: string; volumeName?: string }>(
      ["hostPath", "volumeName"],
      "set exactly one of hostPath and volumeName",
    ),
  ],
);

/** Without the rule over all of them, which costs the API server too much inside a list of containers. */
export const mounts = list("Mounts.", volume, 64);

export const volumes = ruled(mounts, [
  {
    rule: "self.all(one, self.exists_one(other, other.mountPath == one.mountPath))",
    message: "two volumes have the same mountPath: give each its own",
    holds: (all) => new Set(all.map((mount) => mount.mountPath)).size === all.length,
  },
]);

export type Volume = z.infer<typeof volume>;
