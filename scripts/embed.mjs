// Makes an executable of JavaScript modules and the interpreter: native/engine.c, with the modules as bytecode. It begins with main.js.
//
// Usage: node scripts/embed.mjs MODULES OUT: from the *.js in the directory MODULES, where it leaves what it makes on the way, to OUT/libexec/berth
import { readdirSync, writeFileSync } from "node:fs";
import { relative, resolve } from "node:path";
import { root, run } from "./stage.mjs";

const [modules, out] = process.argv.slice(2).map((path) => resolve(path));
const machine = { x64: "x86_64", arm64: "aarch64" }[process.arch] ?? process.arch;
const quickjs = `${root}node_modules/@suchipi/quickjs/build/${machine}-unknown-linux-gnu/bin/quickjs-run`;

const names = readdirSync(modules).filter((name) => name.endsWith(".js"));
run(
  quickjs,
  ["scripts/bytecode.mjs", ...names.map((name) => `${modules}/${name}`)],
  "cannot compile to bytecode",
);
// Relative to native/, where make and the assembler run: make knows no names with spaces.
const place = (path) => relative(`${root}native`, path);
writeFileSync(`${modules}/modules.S`, moduleTable(place(modules), names.sort()));
run(
  "make",
  ["-C", "native", "engine", `MODULES=${place(modules)}`, `OUT=${place(out)}`],
  "cannot build the engine",
);

/** The bytecode of the modules as native/engine.c finds it: a table of names, addresses and sizes, whose last name is null. */
function moduleTable(directory, names) {
  const entries = names.map((_, i) => `.quad name${i}, code${i}, end${i} - code${i}`);
  const contents = names.map(
    (name, i) =>
      `name${i}: .asciz "${name}"\n.balign 16\ncode${i}: .incbin "${directory}/${name}.bytecode"\nend${i}:`,
  );
  return `${[
    '.section .data.rel.ro, "aw"',
    ".balign 8",
    ".globl modules",
    "modules:",
    ...entries,
    ".quad 0, 0, 0",
    ".section .rodata",
    ...contents,
    '.section .note.GNU-stack, "", %progbits',
  ].join("\n")}\n`;
}
