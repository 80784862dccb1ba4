// Bundles the UI into dist/: hashed names, meta.json for the server, everything pre-compressed once at build time.
import { build } from "esbuild";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { gzipSync, constants } from "node:zlib";

const LIMIT = 100 * 1024;             // bytes, compressed, all entries together: the build fails above it

await rm("dist", { recursive: true, force: true });
await mkdir("dist");
const result = await build({
  entryPoints: ["src/app.ts", "src/trend.ts", "src/worker.ts", "src/style.css"],
  bundle: true, splitting: true, format: "esm", minify: true, target: "es2022",
  entryNames: "[name]-[hash]", chunkNames: "chunk-[hash]", metafile: true, outdir: "dist",
  legalComments: "linked",
});
await writeFile("dist/meta.json", JSON.stringify(result.metafile));
let total = 0;
for (const name of await readdir("dist")) {
  if (!/\.(js|css)$/.test(name)) continue;
  const packed = gzipSync(await readFile(`dist/${name}`), { level: constants.Z_BEST_COMPRESSION });
  await writeFile(`dist/${name}.gz`, packed);
  total += packed.length;
}
console.log(`dist/: ${total} bytes compressed`);
if (total > LIMIT) {
  console.error(`the UI bundle is larger than ${LIMIT} bytes compressed`);
  process.exit(1);
}
