/**
 * Writes manifests/crds/*.yaml and docs/reference/*.md from the schemas of src/crds.
 *
 *     node src/crds/generate/main.ts           writes what differs, removes what is not generated any more
 *     node src/crds/generate/main.ts --check   writes nothing; exit 1 and one line for each file that is not current
 */
import { mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { crdFileName, crdYaml } from "./crd.ts";
import { conditionsPage, indexPage, kindPage, pageName } from "./docs.ts";
import { KIND_DEFINITIONS } from "./kinds.ts";

/** Folders that hold nothing but generated files, from the root of the project. */
const FOLDERS = ["manifests/crds", "docs/reference"] as const;

/** Every generated file: path from the root of the project, and text. */
export function generatedFiles(): Map<string, string> {
  const files = new Map<string, string>();
  for (const definition of KIND_DEFINITIONS) {
    files.set(`manifests/crds/${crdFileName(definition)}`, crdYaml(definition));
    files.set(`docs/reference/${pageName(definition)}`, kindPage(definition));
  }
  files.set("docs/reference/conditions.md", conditionsPage());
  files.set("docs/reference/README.md", indexPage(KIND_DEFINITIONS));
  return files;
}

/** Paths of files under `root` that differ from what would be generated, are missing, or are there without being generated. */
export function staleFiles(root: string, files = generatedFiles()): string[] {
  const stale = [...files].filter(([path, text]) => readIfThere(join(root, path)) !== text).map(([path]) => path);
  return [...stale, ...strangers(root, files)].sort();
}

function strangers(root: string, files: ReadonlyMap<string, string>): string[] {
  return FOLDERS.flatMap((folder) => listIfThere(join(root, folder)).map((name) => `${folder}/${name}`)).filter(
    (path) => !files.has(path),
  );
}

function write(root: string): void {
  const files = generatedFiles();
  for (const path of staleFiles(root, files)) {
    const text = files.get(path);
    if (text === undefined) rmSync(join(root, path));
    else {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    process.stdout.write(`${text === undefined ? "removed" : "wrote"} ${path}\n`);
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

function listIfThere(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}

function isNotFound(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

// import.meta.main is younger than the oldest Node that is supported.
if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === import.meta.filename) {
  const root = resolve(import.meta.dirname, "../../..");
  const check = process.argv.includes("--check");
  if (!check) write(root);
  else {
    const stale = staleFiles(root);
    for (const path of stale) process.stderr.write(`${path} is not current: run npm run generate\n`);
    process.exitCode = stale.length > 0 ? 1 : 0;
  }
}
