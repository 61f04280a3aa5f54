import packageJson from "../../package.json" with { type: "json" };

/** The version of this build; the bundle carries it with it. */
export const VERSION: string = packageJson.version;

/** One line that says what runs. */
export function versionLine(): string {
  return `drayage ${VERSION} (node ${process.versions.node}, ${process.platform}/${process.arch})`;
}
