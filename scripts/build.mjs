// `npm run build`: bundles src/main.ts into dist/drayage.mjs. The bundle starts faster and needs less memory than the sources; what is only
// imported on demand (the kubeconfig loader above all) is split off and stays unread until then.

import { chmodSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const OUT = join(ROOT, "dist");
/** As in package.json's engines. */
const OLDEST_NODE = 24;
/** Where it is made: whoever uses dist at the moment shall not find half a bundle. Of the same depth, for the source maps. */
const STAGING = `${OUT}.${process.pid}`;

process.on("exit", () => rmSync(STAGING, { recursive: true, force: true }));
/**
 * Of @kubernetes/client-node the program uses KubeConfig alone, but its entry brings the generated clients of every Kubernetes API along:
 * 15 MB of code and some 60 MB of memory. KubeConfig's own file needs two names of them.
 */
const onlyKubeConfig = {
  name: "only-kubeconfig",
  setup(plugins) {
    const dist = join(ROOT, "node_modules/@kubernetes/client-node/dist");
    plugins.onResolve({ filter: /^@kubernetes\/client-node$/ }, () => ({
      path: join(dist, "config.js"),
      sideEffects: false,
    }));
    plugins.onResolve({ filter: /^\.\/gen\/index\.js$/ }, ({ importer }) =>
      importer === join(dist, "config.js") ? { path: "gen", namespace: "client-node" } : undefined,
    );
    plugins.onLoad({ filter: /^gen$/, namespace: "client-node" }, () => ({
      contents: 'export * from "./gen/configuration.js"; export * from "./gen/servers.js";',
      resolveDir: dist,
    }));
  },
};

const result = await build({
  absWorkingDir: ROOT,
  entryPoints: { main: "src/main.ts" },
  outdir: STAGING,
  outExtension: { ".js": ".mjs" },
  chunkNames: "chunks/[name]-[hash]",
  bundle: true,
  splitting: true,
  platform: "node",
  target: "node24",
  format: "esm",
  sourcemap: true,
  legalComments: "linked",
  metafile: true,
  plugins: [onlyKubeConfig],
  logLevel: "warning",
  // CommonJS packages in the bundle call require for Node's own modules.
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module";\nconst require = __createRequire(import.meta.url);',
  },
});
// The program itself is only read once this has looked at the version: an old Node would fail on it with words that help nobody.
// V8 lets its space for young objects grow to 96 MB and keeps it for good. Kept at its first size it is emptied more often,
// and resident memory under load is about half (docs/benchmarks.md). The limit itself cannot be set any more once V8 runs.
writeFileSync(
  join(STAGING, "drayage.mjs"),
  `#!/usr/bin/env node
if (Number(process.versions.node.split(".")[0]) < ${OLDEST_NODE}) {
  console.error("drayage: Node ${OLDEST_NODE} or newer is needed, this is " + process.versions.node + "; in a checkout that was set up, node_modules/node-*/bin/node is one");
  process.exit(2);
}
(await import("node:v8")).setFlagsFromString("--semi-space-growth-factor=1");
await import("./main.mjs");
`,
);
chmodSync(join(STAGING, "drayage.mjs"), 0o755);
rmSync(OUT, { recursive: true, force: true });
renameSync(STAGING, OUT);
if (!process.argv.includes("--quiet")) {
  const chunks = Object.keys(result.metafile.outputs).filter((path) => path.endsWith(".mjs")).length - 1;
  process.stdout.write(
    `dist/drayage.mjs: ${Math.round(statSync(join(OUT, "main.mjs")).size / 1024)} KiB, and ${chunks} chunks\n`,
  );
}
