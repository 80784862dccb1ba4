// What survives a power cut: written whole, flushed, and renamed before anybody is told of it.
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";

const pack = (_, value) => {
  if (typeof value === "bigint") return { big: value.toString() };
  return value?.type === "Buffer" ? { hex: Buffer.from(value.data).toString("hex") } : value;
};
const unpack = (_, value) => {
  if (value === null || typeof value !== "object") return value;
  if (typeof value.big === "string") return BigInt(value.big);
  return typeof value.hex === "string" ? Buffer.from(value.hex, "hex") : value;
};

export class Store {
  constructor(path, fresh) {
    this.path = path;
    this.state = existsSync(path) ? JSON.parse(readFileSync(path, "utf8"), unpack) : fresh();
    this.save();
  }

  save() {
    const file = openSync(`${this.path}.new`, "w", 0o600);
    writeSync(file, JSON.stringify(this.state, pack));
    fsyncSync(file);
    closeSync(file);
    renameSync(`${this.path}.new`, this.path);
    const folder = openSync(dirname(this.path), "r");
    fsyncSync(folder);
    closeSync(folder);
  }
}
