// Pieces and their proofs: the binary tree of Filecoin's piece commitments, and its CID (FRC-0069).
import { createHash } from "node:crypto";

/// SHA-256 with the two topmost bits (of the last byte, little endian) cleared: a node fits the proofs' field.
function parent(left, right) {
  const hash = createHash("sha256").update(Buffer.from(left.slice(2) + right.slice(2), "hex")).digest();
  hash[31] &= 0x3f;
  return `0x${hash.toString("hex")}`;
}

/// The tree over a power of two of 32-byte leaves (hex). `prove` has a leaf with its siblings, from the bottom up.
export function merkleTree(leaves) {
  const levels = [leaves];
  while (levels.at(-1).length > 1) {
    const below = levels.at(-1);
    levels.push(below.flatMap((left, place) => (place % 2 ? [] : [parent(left, below[place + 1])])));
  }
  return {
    root: levels.at(-1)[0],
    height: levels.length - 1,
    prove: (place) => ({
      leaf: leaves[place],
      proof: levels.slice(0, -1).map((level, depth) => level[(place >> depth) ^ 1]),
    }),
  };
}

/// The CID, version 2, of a piece without padding: raw, fr32-sha2-256-trunc254-padded-binary-tree, 34 bytes.
export function pieceCid({ root, height }) {
  return `0x0155912022${"00"}${height.toString(16).padStart(2, "0")}${root.slice(2)}`;
}
