// Compiles modules, FILE to FILE.bytecode. QuickJS runs it, for its bytecode is good for the version that made it.
// Line numbers stay: import() asks them for the module that it stands in, and an internal error says where it happened.
import * as bytecode from "quickjs:bytecode";
import * as std from "quickjs:std";

for (const path of scriptArgs.slice(2)) {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const made = bytecode.fromFile(path, { encodedFileName: name, sourceType: "module", strip: "source" });
  const file = std.open(`${path}.bytecode`, "wb");
  file.write(made, 0, made.byteLength);
  file.close();
}
