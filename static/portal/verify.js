// Checks in the browser what the server claims about one entry: its hash, its place in the tree, the root's signature, and
// that what the reader kept from before is still part of it. Hashing and signatures are the browser's own (WebCrypto).
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const box = document.getElementById("verify"), button = document.getElementById("verify-button");
  if (!box || !button) return;
  const steps = document.getElementById("verify-steps"), told = document.getElementById("verify-told");
  const field = (id) => document.getElementById(id).value.trim();
  const utf8 = new TextEncoder();

  class Failed extends Error {}

  // --- bytes ---
  function bytes(base64, what) {
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(base64) || base64.length % 4) throw new Failed(`${what} is not base64.`);
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  }
  const hex = (array) => [...array].map((each) => each.toString(16).padStart(2, "0")).join("");
  const same = (one, other) => one.length === other.length && one.every((each, at) => each === other[at]);
  function joined(...parts) {
    const all = new Uint8Array(parts.reduce((sum, each) => sum + each.length, 0));
    let at = 0;
    for (const each of parts) { all.set(each, at); at += each.length; }
    return all;
  }
  const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));
  const node = (left, right) => sha256([1], left, right);

  // --- trees: RFC 9162, sections 2.1.3.2 and 2.1.4.2. Sizes are below 2^53, so plain numbers do. ---
  const half = (number) => Math.floor(number / 2), odd = (number) => number % 2 === 1;

  async function climb(leaf, index, size, path) {
    if (index >= size) throw new Failed("The entry would lie behind the end of the log.");
    let place = index, last = size - 1, root = leaf;
    for (const hash of path) {
      if (last === 0) throw new Failed("The path is too long.");
      if (odd(place) || place === last) {
        root = await node(hash, root);
        while (!odd(place) && place !== 0) { place = half(place); last = half(last); }
      } else {
        root = await node(root, hash);
      }
      place = half(place);
      last = half(last);
    }
    if (last !== 0) throw new Failed("The path is too short.");
    return root;
  }

  async function consistent(first, second, oldRoot, newRoot, path) {
    let hashes = path, place = first - 1, last = second - 1;
    while (odd(place)) { place = half(place); last = half(last); }
    if (place === 0) hashes = [oldRoot, ...path];
    if (!hashes.length) return false;
    let before = hashes[0], after = hashes[0];
    for (const hash of hashes.slice(1)) {
      if (last === 0) return false;
      if (odd(place) || place === last) {
        before = await node(hash, before);
        after = await node(hash, after);
        while (!odd(place) && place !== 0) { place = half(place); last = half(last); }
      } else {
        after = await node(after, hash);
      }
      place = half(place);
      last = half(last);
    }
    return last === 0 && same(before, oldRoot) && same(after, newRoot);
  }

  // --- signed notes, checkpoints and keys, as C2SP has them ---
  function checkpoint(note) {
    const cut = note.lastIndexOf("\n\n");
    if (cut < 0 || !note.endsWith("\n")) throw new Failed("It is no signed checkpoint: copy all of it, signature lines included.");
    const text = note.slice(0, cut + 1), [origin, size, root] = text.split("\n");
    if (!/^(0|[1-9][0-9]{0,15})$/.test(size || "")) throw new Failed("The checkpoint has no size.");
    const signatures = note.slice(cut + 2).trimEnd().split("\n").map((line) => {
      const [, name, encoded] = /^— (\S+) (\S+)$/.exec(line) || [];
      if (!name) throw new Failed("A signature line of the checkpoint is not one.");
      return { name, raw: bytes(encoded, "A signature") };
    });
    return { text, origin, size: Number(size), root: bytes(root || "", "The root"), signatures };
  }

  async function verifier(text) {
    const [, name, id, encoded] = /^([^\s+]+)\+([0-9a-f]{8})\+(\S+)$/.exec(text) || [];
    if (!name) throw new Failed("The key is not written as name+id+base64.");
    const raw = bytes(encoded, "The key");
    if (raw.length !== 33 || raw[0] !== 1) throw new Failed("The key is not an Ed25519 key of a log.");
    const found = (await sha256(utf8.encode(`${name}\n`), raw)).slice(0, 4);
    if (hex(found) !== id) throw new Failed("The key does not have the id that stands before it: it was not copied whole.");
    return { name, id: found, raw: raw.slice(1) };
  }

  async function signed(point, key) {
    let imported;
    try {
      imported = await crypto.subtle.importKey("raw", key.raw, { name: "Ed25519" }, false, ["verify"]);
    } catch {
      return null; // this browser has no Ed25519
    }
    const lines = point.signatures.filter((each) => each.name === key.name && same(each.raw.slice(0, 4), key.id));
    if (!lines.length) throw new Failed(`The checkpoint has no signature of ${key.name} by this key.`);
    for (const line of lines) {
      if (!await crypto.subtle.verify("Ed25519", imported, line.raw.slice(4), utf8.encode(point.text))) {
        throw new Failed("The signature is not one of this key over this checkpoint.");
      }
    }
    return true;
  }

  // --- the steps ---
  const WORDS = { passed: "passed", failed: "FAILED", open: "not checked" };
  const COLORS = { passed: "success", failed: "danger", open: "warning" };
  const results = [];

  function show(result, text, code = "") {
    results.push(result);
    const item = document.createElement("li"), badge = document.createElement("span"), words = document.createElement("span");
    badge.className = `portal-badge ${COLORS[result]}`;
    badge.textContent = WORDS[result];
    words.textContent = text;
    if (code) {
      const shown = document.createElement("code");
      shown.textContent = code;
      words.append(shown);
    }
    item.append(badge, words);
    steps.append(item);
  }

  async function step(name, check) {
    try {
      await check();
    } catch (problem) {
      show("failed", `${name}: ${problem instanceof Failed ? problem.message : "the server's answer cannot be read."}`);
    }
  }

  async function fetched(query = "") {
    const answer = await fetch(box.dataset.proof + query, { redirect: "error", cache: "no-store" });
    if (!answer.ok) throw new Failed(`The server answered ${answer.status}.`);
    return answer.json();
  }

  async function verify() {
    const held = field("verify-held"), pasted = field("verify-key"), index = Number(box.dataset.index);
    const proof = await fetched();
    let leaf, root, point;
    await step("The bytes", async () => {
      const body = bytes(proof.body, "The body"), entry = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
      leaf = await sha256([0], body);
      if (entry.index !== index) throw new Failed(`they say that they are entry ${entry.index}, not ${index}.`);
      if (hex(leaf) !== box.dataset.leaf) throw new Failed(`they hash to ${hex(leaf)}, not to the leaf on this page.`);
      show("passed", `The bytes are entry ${index} of ${entry.time}, ${entry.type}, and hash to its leaf. `, hex(leaf));
    });
    await step("The checkpoint", async () => {
      const read = checkpoint(proof.checkpoint);
      if (read.origin !== box.dataset.origin) throw new Failed(`it is of another log, ${read.origin}.`);
      if (read.size !== proof.size) throw new Failed("it is of another size than the proof.");
      point = read;
    });
    if (leaf && point) {
      await step("The path", async () => {
        root = await climb(leaf, index, point.size, proof.path.map((each) => bytes(each, "A hash of the path")));
        if (!same(root, point.root)) throw new Failed("it does not lead from the leaf to the root that was signed.");
        show("passed", `${proof.path.length} hashes lead from the leaf to the root over ${point.size} entries. `, hex(root));
      });
    }
    if (point) {
      await step("The signature", async () => {
        const key = await (pasted || proof.key ? verifier(pasted || proof.key) : null);
        if (!key) return show("open", "The signature: this server does not name the key. Paste the log's public key above.");
        if (key.name !== point.origin) throw new Failed(`the key is one of ${key.name}, and the log is ${point.origin}.`);
        if (await signed(point, key) === null) {
          return show("open", "The signature: this browser has no Ed25519 (or the page came without TLS). Use verify.py.");
        }
        return show("passed", pasted ? "The root is signed by the key that you pasted."
          : "The root is signed by the key that this server names. Paste the key that you hold to know that it is the same.");
      });
    }
    if (point && held) await step("The checkpoint that you kept", () => compare(point, checkpoint(`${held}\n`), pasted || proof.key));
  }

  async function compare(point, kept, keyText) {
    if (kept.origin !== point.origin) throw new Failed(`it is of another log, ${kept.origin}.`);
    if (keyText && await signed(kept, await verifier(keyText)) === null) show("open", "Its signature: this browser has no Ed25519.");
    if (kept.size > point.size) throw new Failed(`it had ${kept.size} entries, and the log has ${point.size} now: it was cut.`);
    if (kept.size === point.size) {
      if (!same(kept.root, point.root)) throw new Failed("it has another root for the same size: there are two histories.");
      return show("passed", "The checkpoint that you kept is this very one.");
    }
    const path = ((await fetched(`?first=${kept.size}`)).consistency || []).map((each) => bytes(each, "A hash"));
    if (kept.size > 0 && !await consistent(kept.size, point.size, kept.root, point.root, path)) {
      throw new Failed("the log of today does not continue it: what it held was changed.");
    }
    return show("passed", `The log only added ${point.size - kept.size} entries to the checkpoint that you kept.`);
  }

  button.addEventListener("click", async () => {
    button.disabled = true;
    steps.replaceChildren();
    results.length = 0;
    told.textContent = "Checking…";
    if (!window.crypto?.subtle) {
      show("open", "This browser computes no hashes on a page that came without TLS. Open the portal by https, or use verify.py.");
    } else {
      try {
        await verify();
      } catch (problem) {
        show("failed", problem instanceof Failed ? problem.message : "The server's answer cannot be read.");
      }
    }
    const bad = results.includes("failed"), open = results.includes("open");
    told.textContent = bad ? "Not verified: what the server says does not hold." : open ? "Not all of it could be checked."
      : "Verified: the entry is in the log that was signed.";
    told.className = `portal-more${bad ? " portal-alert" : open ? " portal-alert warning" : ""}`;
    button.disabled = false;
  });
});
