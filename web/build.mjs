// Checks the types of the console, and builds it into a folder: `node web/build.mjs FOLDER`. The same source gives the
// same bytes.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
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
const files = (ending) => readdirSync(folder).filter((name) => name.endsWith(ending));
for (const name of files(".js")) rmSync(join(folder, name));
await build({
  absWorkingDir: here,
  entryPoints: { console: "src/main.tsx" },
  outdir: folder,
  bundle: true,
  // What views/later.tsx imports is a file of its own, which is loaded on demand; what it shares with console.js is a
  // second one. Their names change with what is in them: a page that was loaded before an update never mixes the two.
  splitting: true,
  chunkNames: "[name]-[hash]",
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
// There is one style sheet. That of what is loaded on demand repeats rules of it; one of its own would be missing.
const rules = new Set(readFileSync(join(folder, "console.css"), "utf8").split("}"));
for (const name of files(".css").filter((each) => each !== "console.css")) {
  const missing = readFileSync(join(folder, name), "utf8").split("}").filter((rule) => !rules.has(rule));
  rmSync(join(folder, name));
  if (missing.length > 0) throw new Error(`main.tsx does not import the style of: ${missing.join("}")}`);
}
// Terser makes 3 % less of what esbuild has minified.
for (const name of files(".js")) {
  const script = join(folder, name);
  const smaller = await minify(readFileSync(script, "utf8"), { module: true, ecma: 2020, compress: { passes: 2 } });
  writeFileSync(script, `${smaller.code}\n`);
}
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
// The browser requests the shared file together with the first one, not after it.
const shared = files(".js").find((name) => name.startsWith("chunk-"));
const page = readFileSync(join(here, "src/index.html"), "utf8");
writeFileSync(join(folder, "index.html"), page.replace("{shared}", shared));
const licenses = ["preact", "@preact/signals", "@preact/signals-core"].map(
  (name) => `${name}\n\n${readFileSync(join(here, "node_modules", name, "LICENSE"), "utf8")}`,
);
writeFileSync(join(folder, "licenses.txt"), licenses.join("\n"));
