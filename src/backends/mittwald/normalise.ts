/**
 * One form for what means the same: the vendor rewrites what it is told (`library/` before official images, image defaults in empty fields)
 * and takes several spellings. Pure. Both sides of every comparison go through here.
 */

/** Docker Hub's images without its names, and a tag always said: `nginx` is `docker.io/library/nginx:latest`. */
export function canonicalImage(image: string): string {
  const short = shortImage(image.trim());
  const last = short.slice(short.lastIndexOf("/") + 1);
  return last.includes(":") || last.includes("@") ? short : `${short}:latest`;
}

/** As it is sent: Docker Hub's images as `docker run` takes them, since the vendor matches credentials by the host name index.docker.io. */
export function shortImage(image: string): string {
  return image.replace(/^(docker\.io|index\.docker\.io|registry-1\.docker\.io)\//, "").replace(/^library\//, "");
}

/** Whether a reference names an image for ever, so that nothing new can stand behind it. */
export function isPinned(image: string): boolean {
  return image.includes("@");
}

/** `80:80/tcp`, `80/tcp` and `80` are one; a remapped port, which the vendor does not have, stays visible. */
export function canonicalPort(port: string): string {
  const [numbers = "", protocol = "tcp"] = port.trim().toLowerCase().split("/");
  const [outer = "", inner = outer] = numbers.split(":");
  return `${outer === inner ? outer : numbers}/${protocol}`;
}

/** Of `<volume>:<mount point>` both without spaces, the mount point without a slash at its end. */
export function canonicalMount(mount: string): string {
  const at = mount.indexOf(":");
  if (at < 0) return mount.trim();
  const target = mount.slice(at + 1).trim();
  return `${mount.slice(0, at).trim()}:${target.length > 1 ? target.replace(/\/+$/, "") : target}`;
}

/** The volume or path of a mount. */
export function mountSource(mount: string): string {
  return canonicalMount(mount).split(":")[0] ?? "";
}

const MEMORY = /^\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)i?b?\s*$/i;
const POWERS: Readonly<Record<string, number>> = { "": 0, k: 1, m: 2, g: 3, t: 4 };

/** Bytes of a size as docker compose writes it: units count by 1024, with or without a b. @returns undefined if it is none. */
export function memoryBytes(text: string): number | undefined {
  const [, digits, unit] = MEMORY.exec(text) ?? [];
  if (digits === undefined) return undefined;
  return Number(digits) * 1024 ** (POWERS[(unit ?? "").toLowerCase()] ?? 0);
}

/** Bytes as the vendor takes them: whole numbers with a unit, in lower case (its own error text: ^[0-9]+(mb|m|b|gb|g|kb|k)$). */
export function memoryText(bytes: number): string {
  for (const [unit, power] of [
    ["g", 3],
    ["m", 2],
    ["k", 1],
  ] as const)
    if (bytes % 1024 ** power === 0) return `${bytes / 1024 ** power}${unit}`;
  return `${bytes}b`;
}

/** Cores as a decimal without an exponent; finer than a millionth is nothing. */
export function cpuText(cores: number): string {
  return cores.toFixed(6).replace(/\.?0+$/, "");
}
