import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { decrypted, opened } from "./stateFiles";

const magic = "PLOG";

/**
 * What Pulumi's CLI logs of every command by itself, below `PULUMI_HOME/logs`: compressed, or encrypted with the
 * stack's key from when it knows it (pulumi/pkg/engine/encryptedlog). Property values are encoded, and decoded here.
 */
export function engineLogs(pulumiHome: string, key: Buffer) {
  const dir = join(pulumiHome, "logs");
  return readdirSync(dir).map((name) => {
    const bytes = readFileSync(join(dir, name));
    const isEncrypted = bytes.subarray(0, 4).toString("latin1") === magic;
    const text = isEncrypted ? chunksOf(bytes, key) : gunzipSync(bytes).toString();
    return { name, isEncrypted, text, values: valuesIn(text) };
  });
}

/** After magic, version and the file's own key, sealed with the stack's: sealed and compressed chunks, each with its length. */
function chunksOf(bytes: Buffer, key: Buffer): string {
  const keyEnd = 7 + bytes.readUInt16BE(5);
  const [ownKey] = decrypted(bytes.subarray(7, keyEnd).toString(), key);
  if (ownKey === undefined) throw new Error("a log of another stack");
  const texts: string[] = [];
  for (let at = keyEnd; at + 4 <= bytes.length;) {
    const end = at + 4 + bytes.readUInt32BE(at);
    const chunk = bytes.subarray(at + 4, end);
    texts.push(gunzipSync(opened(ownKey, chunk.subarray(0, 12), chunk.subarray(12))).toString());
    at = end;
  }
  return texts.join("");
}

/** Each value of a property: "pulumi" and its encoding, in base64. */
function valuesIn(text: string): string[] {
  const encoded = text.match(/(?<=")cHVsdW1p[A-Za-z0-9+/=]+(?=")/g) ?? [];
  return encoded.map((value) => Buffer.from(value, "base64").toString());
}
