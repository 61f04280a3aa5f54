// Makes container images without any tool: one layer with one file, and a configuration per image
// (github.com/opencontainers/image-spec: config.md, layer.md, manifest.md). The layer's tar is in the ustar form of POSIX.1-1988.

import { createHash } from "node:crypto";
import process from "node:process";

/** What an image runs. */
export interface ImageRecipe {
  entrypoint: readonly string[];
  cmd?: readonly string[];
  env?: readonly string[];
}

/** One content of a registry. */
export interface Blob {
  digest: string;
  mediaType: string;
  bytes: Buffer;
}

export interface Image {
  manifest: Blob;
  config: Blob;
  layer: Blob;
}

const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const CONFIG = "application/vnd.oci.image.config.v1+json";
const LAYER = "application/vnd.oci.image.layer.v1.tar";

/** A layer that holds one program at the root: shared by all images that are made of it. */
export function programLayer(name: string, program: Buffer): Blob {
  const padding = Buffer.alloc((512 - (program.length % 512)) % 512);
  return blob(LAYER, Buffer.concat([tarHeader(name, program.length), program, padding, Buffer.alloc(1024)]));
}

/**
 * An image for this machine's processor.
 * @param reference told in a label, so that no two references share a configuration: whoever pulls one has not got the other
 */
export function makeImage(layer: Blob, reference: string, recipe: ImageRecipe): Image {
  const config = json(CONFIG, {
    architecture: process.arch === "arm64" ? "arm64" : "amd64",
    os: "linux",
    config: {
      Entrypoint: recipe.entrypoint,
      ...(recipe.cmd && { Cmd: recipe.cmd }),
      Env: ["PATH=/", ...(recipe.env ?? [])],
      Labels: { reference },
    },
    // The layer is not compressed: its digest is that of its content.
    rootfs: { type: "layers", diff_ids: [layer.digest] },
  });
  const manifest = json(MANIFEST, {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: descriptor(config),
    layers: [descriptor(layer)],
  });
  return { manifest, config, layer };
}

function json(mediaType: string, value: object): Blob {
  return blob(mediaType, Buffer.from(JSON.stringify(value)));
}

function blob(mediaType: string, bytes: Buffer): Blob {
  return { mediaType, bytes, digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}` };
}

function descriptor({ mediaType, digest, bytes }: Blob): object {
  return { mediaType, digest, size: bytes.length };
}

function tarHeader(name: string, size: number): Buffer {
  const header = Buffer.alloc(512);
  const octal = (value: number, at: number, length: number): void =>
    void header.write(`${value.toString(8).padStart(length - 1, "0")}\0`, at, "latin1");
  header.write(name, 0, "latin1");
  octal(0o755, 100, 8); // mode
  octal(0, 108, 8); // uid
  octal(0, 116, 8); // gid
  octal(size, 124, 12);
  octal(0, 136, 12); // time
  header.write("        ", 148, "latin1"); // the checksum counts as blanks in itself
  header.write("0", 156, "latin1"); // a plain file
  header.write("ustar\u000000", 257, "latin1");
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return header;
}
