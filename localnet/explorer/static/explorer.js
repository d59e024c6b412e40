// The explorer in the browser: pages follow the chain, rows by keys, copies. All that is shown the server has written;
// the one thing that a script puts into a page is another answer of the server to the page's own address.

const PAUSE = 2000; // milliseconds between two looks at a chain that moves
const main = document.getElementById("main");
const state = document.getElementById("live");

// --- following the chain ---------------------------------------------------------------------------------------------
// A page listens until the chain has moved once, looks what that means for it, and rests before it listens again: a
// chain that makes a thousand blocks a second costs the node one notification and one page in two seconds.

let socket = null, channel = 0, asked = new Map(), seen = null, missed = false;
let timer = null, last = 0, wait = 500, typing = false;

function follow() {
  if (!main.dataset.live) return; // "all": every block changes the page; "back": only a chain that goes back does
  socket = new WebSocket(location.origin.replace(/^http/, "ws"));
  socket.onopen = () => { wait = 500; show("on", "live"); listen(); };
  socket.onmessage = (message) => {
    const notice = JSON.parse(message.data);
    if (notice.method === "xrpc.ch.val") for (const change of notice.params[1]) heard(change.Type, change.Val);
    else { asked.get(notice.id)?.(notice); asked.delete(notice.id); }
  };
  socket.onclose = () => {
    show("off", "offline");
    socket = null;
    clearTimeout(timer);
    timer = null;
    setTimeout(follow, wait);
    wait = Math.min(wait * 2, 10000);
  };
}

function tell(method, params, answered) {
  channel += 1;
  if (answered) asked.set(channel, answered);
  socket.send(JSON.stringify({ jsonrpc: "2.0", id: channel, method, params }));
  return channel;
}

let listening = 0;

function listen() {
  timer = null;
  if (socket?.readyState !== WebSocket.OPEN || listening) return;
  if (document.hidden || typing) { missed = true; return; } // until the page is seen, the field left
  listening = tell("Filecoin.ChainNotify", []);
}

function rest() {
  if (listening) tell("xrpc.cancel", [listening]);
  listening = 0;
  if (timer === null) timer = setTimeout(listen, Math.max(0, last + PAUSE - Date.now()));
}

function heard(type, tipset) {
  if (type !== "current") { if (listening) rest(); return; } // the head is looked at when it is listened again
  const before = seen;
  seen = { height: tipset.Height, cid: tipset.Cids[0]["/"] };
  if (before === null) {
    if (main.dataset.live === "all" && String(seen.height) !== main.dataset.head) refresh();
  } else if (before.cid !== seen.cid) {
    if (main.dataset.live === "all" || seen.height <= before.height) refresh();
    else tell("Filecoin.ChainGetTipSetByHeight", [before.height, null], (answer) => {
      if (answer.result?.Cids[0]["/"] !== before.cid) refresh(); // the chain went back below it, and on from there
    });
  }
}

async function refresh() {
  last = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch { /* the node is away: the socket says so */ }
}

function again() {
  if (!missed) return;
  missed = false;
  listen();
}

function replace(page) {
  const next = page.getElementById("main");
  if (!next) return;
  const open = new Set([...main.querySelectorAll("details[id][open]")].map((each) => each.id));
  const before = new Set([...main.querySelectorAll("tbody tr a:first-of-type")].map((each) => each.href));
  const focused = main.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  for (const each of next.querySelectorAll("details[id]")) if (open.has(each.id)) each.open = true;
  main.replaceChildren(...next.childNodes);
  main.dataset.live = next.dataset.live;
  main.dataset.head = next.dataset.head;
  for (const row of main.querySelectorAll("tbody tr")) {
    const first = row.querySelector("a");
    if (first && before.size && !before.has(first.href)) row.classList.add("new");
  }
  if (focused) main.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  document.title = page.title;
  const footer = page.querySelector("footer");
  if (footer) document.querySelector("footer").replaceChildren(...footer.childNodes);
}

function show(kind, words) {
  state.className = `live ${kind}`;
  state.textContent = words;
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) again(); });
main.addEventListener("focusin", (event) => { typing = event.target.matches("input, textarea, select"); });
main.addEventListener("focusout", () => { typing = false; again(); });

// --- copies ----------------------------------------------------------------------------------------------------------

main.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy], button[data-copy-from]");
  if (!button) return;
  const words = button.textContent;
  try {
    const from = button.dataset.copyFrom;
    await navigator.clipboard.writeText(from ? await (await fetch(from)).text() : button.dataset.copy);
    button.textContent = "copied";
    button.classList.add("done");
  } catch {
    button.textContent = "not allowed";
  }
  setTimeout(() => { button.textContent = words; button.classList.remove("done"); }, 1500);
});

// --- requests --------------------------------------------------------------------------------------------------------

const WRITTEN = { // how a field's text is written as a parameter
  number: (text) => Number(text),
  fil: (text) => "0x" + atto(text).toString(16),
  text: (text) => text,
};

function atto(text) {
  const found = /^(\d+)(?:\.(\d{1,18}))?$/.exec(text.trim());
  if (!found) throw new Error(`'${text}' is not an amount of FIL`);
  return BigInt(found[1]) * 10n ** 18n + BigInt((found[2] ?? "").padEnd(18, "0"));
}

async function ask(method, params) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const answer = await fetch("/", { method: "POST", headers: { "content-type": "application/json" }, body });
  const { result, error } = await answer.json();
  if (error) throw new Error(error.message);
  return result;
}

async function send(method, params, output) {
  output.className = "";
  output.textContent = "…";
  try {
    const result = await ask(method, params());
    output.className = "good";
    output.textContent = result === null || result === true ? "done" : "";
    const hash = typeof result === "string" && /^0x[0-9a-f]{64}$/.test(result);
    const cid = result?.CID?.["/"];
    if (hash || cid) output.append(link(hash ? `/tx/${result}` : `/message/${cid}`, hash ? result : cid));
    else if (!output.textContent) output.textContent = typeof result === "string" ? result : JSON.stringify(result);
    return result;
  } catch (error) {
    output.className = "bad";
    output.textContent = error.message;
    return undefined;
  }
}

function link(url, text) {
  const made = document.createElement("a");
  made.href = url;
  made.textContent = `${text.slice(0, 8)}…${text.slice(-4)}`;
  return made;
}

main.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-rpc]");
  if (!form) return;
  event.preventDefault();
  const params = () => [...form.querySelectorAll("[data-kind]")].map((each) => WRITTEN[each.dataset.kind](each.value));
  const result = await send(form.dataset.rpc, params, form.querySelector("output"));
  const next = form.dataset.resultInput && document.querySelector("form[data-rpc=evm_revert] input");
  if (next && typeof result === "string") next.value = result;
});

main.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-rpc]");
  if (button) send(button.dataset.rpc, () => JSON.parse(button.dataset.params), button.nextElementSibling);
});

// --- keys ------------------------------------------------------------------------------------------------------------

const rows = () => [...main.querySelectorAll("tbody tr, details.call > summary")].filter((each) => each.offsetParent);

function move(by) {
  const all = rows();
  const now = all.findIndex((row) => row.classList.contains("here"));
  const next = all[Math.min(all.length - 1, Math.max(0, now + by))];
  if (!next) return;
  all[now]?.classList.remove("here");
  next.classList.add("here");
  (next.matches("summary") ? next : next.querySelector("a"))?.focus();
  next.scrollIntoView({ block: "nearest" });
}

const KEYS = {
  "/": () => document.getElementById("q").focus(),
  j: () => move(1),
  k: () => move(-1),
  "[": () => document.querySelector("a[rel=prev]")?.click(),
  "]": () => document.querySelector("a[rel=next]")?.click(),
  e: () => fold(true),
  c: () => fold(false),
};

function fold(open) {
  for (const each of main.querySelectorAll("details")) each.open = open;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
  const act = KEYS[event.key];
  if (act) { event.preventDefault(); act(); }
});

follow();
