// Checks the types of the console, and builds it into a folder: `node web/build.mjs FOLDER`. The same source gives the
// same bytes.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { minify } from "terser";

const here = dirname(fileURLToPath(import.meta.url));
const folder = resolve(process.argv[2]);
const types = spawnSync(process.execPath, [join(here, "node_modules/typescript/bin/tsc"), "--project", here], {
  stdio: "inherit",
});
if (types.status !== 0) process.exit(1);
mkdirSync(folder, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: { console: "src/main.tsx" },
  outdir: folder,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022", "chrome120", "firefox121", "safari17.4"],
  jsx: "transform",
  jsxFactory: "h",
  jsxFragment: "Fragment",
  inject: [join(here, "jsx.mjs")],
  // The runtime of tsconfig.json is for the types alone.
  tsconfigRaw: { compilerOptions: { target: "es2022" } },
  charset: "utf8",
  logLevel: "warning",
});
// Terser makes 3 % less of what esbuild has minified.
const script = join(folder, "console.js");
const smaller = await minify(readFileSync(script, "utf8"), { module: true, ecma: 2020, compress: { passes: 2 } });
writeFileSync(script, `${smaller.code}\n`);
const texts = await build({
  absWorkingDir: here,
  entryPoints: ["src/views/inbox/advice.ts"],
  bundle: true,
  format: "esm",
  charset: "utf8",
  write: false,
});
const source = Buffer.from(texts.outputFiles[0].contents).toString("base64");
const { ADVICE } = await import(`data:text/javascript;base64,${source}`);
writeFileSync(join(folder, "advice.json"), `${JSON.stringify(ADVICE)}\n`);
copyFileSync(join(here, "src/index.html"), join(folder, "index.html"));
const licenses = ["preact", "@preact/signals", "@preact/signals-core"].map(
  (name) => `${name}\n\n${readFileSync(join(here, "node_modules", name, "LICENSE"), "utf8")}`,
);
writeFileSync(join(folder, "licenses.txt"), licenses.join("\n"));
