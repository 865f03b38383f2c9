// The console shows what the desk's API says, and sends commands to it; it decides nothing.
// Text goes in as text nodes only: an alert's words are the sender's, never markup.
"use strict";

const MOST_EVENTS = 200;
const LIVE = ["planned", "sending", "unknown", "open", "partial"];
const TONE = {
  filled: "good", done: "good", success: "good", active: "good", closed: "good",
  unknown: "bad", failed: "bad", halted: "bad", rejected: "bad", open_breaker: "bad",
  refused: "warn", reduce: "warn", expired: "warn", canceled: "warn",
};
const byId = (id) => document.getElementById(id);

async function api(path, options = {}) {
  const reply = await fetch(path, { ...options, headers: { "content-type": "application/json" } });
  if (reply.status === 401) location.reload();
  const body = await reply.json();
  if (!reply.ok) throw new Error(body.detail || `${path}: ${reply.status}`);
  return body;
}

async function attempt(work) {
  const problem = byId("problem");
  try {
    await work();
    problem.hidden = true;
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
}

function cell(content, { tone, number } = {}) {
  const td = document.createElement("td");
  td.append(content ?? "");
  if (tone) td.className = tone;
  if (number) td.classList.add("n");
  return td;
}
const state = (word) => cell(word, { tone: TONE[word] });
const number = (text) => cell(text, { number: true });
const money = (text) => cell(text, { number: true, tone: Number(text) < 0 ? "bad" : undefined });
const clock = (iso) => cell(new Date(iso).toLocaleString());

function button(text, act, { danger, link, pressed } = {}) {
  const made = document.createElement("button");
  made.textContent = text;
  if (danger) made.className = "danger";
  if (link) made.className = "link";
  if (pressed !== undefined) made.setAttribute("aria-pressed", pressed);
  made.addEventListener("click", () => attempt(act));
  return made;
}

function fill(id, rows, empty) {
  const body = byId(id).tBodies[0];
  body.replaceChildren(...rows.map((cells) => {
    const row = document.createElement("tr");
    row.append(...cells);
    return row;
  }));
  if (rows.length) return;
  const none = cell(empty, { tone: "empty" });
  none.colSpan = byId(id).tHead.rows[0].cells.length;
  const row = document.createElement("tr");
  row.append(none);
  body.append(row);
}

async function setTrading(to, account) {
  const where = account ?? "all accounts";
  if (to === "active" && !confirm(`Resume trading on ${where}?`)) return;
  await api("/v1/trading", { method: "POST", body: JSON.stringify({ state: to, account }) });
  await showAccounts();
}

async function showAccounts() {
  const [{ accounts }, trading] = await Promise.all([api("/v1/accounts"), api("/v1/trading")]);
  const told = byId("trading");
  const rules = trading.restrictions.filter((one) => one.why).map((one) =>
    `${one.account}: ${one.state} by ${one.by} since ${one.at}: ${one.why}`);
  told.textContent = [`trading: ${trading.state}`, ...rules].join(" · ");
  told.className = TONE[trading.state];
  for (const one of document.querySelectorAll("header [data-state]"))
    one.setAttribute("aria-pressed", one.dataset.state === trading.state);
  fill("accounts", accounts.map((one) => {
    const own = trading.accounts[one.account];
    const commands = document.createElement("span");
    commands.append(button(own === "active" ? "Halt" : "Resume",
      () => setTrading(own === "active" ? "halted" : "active", one.account), { danger: own === "active" }));
    return [cell(one.account), cell(one.type), cell(one.mode),
      cell(one.ready ? "yes" : one.reason, { tone: one.ready ? "good" : "warn" }),
      cell(one.breaker, { tone: one.breaker === "closed" ? "good" : "bad" }),
      cell(String(one.unknown_orders), { number: true, tone: one.unknown_orders ? "bad" : undefined }),
      state(own), cell(commands)];
  }), "no account is configured");
}

async function showPositions() {
  const { positions } = await api("/v1/positions");
  const rows = positions.flatMap((one) => [one, ...one.strategies.map((share) => ({ ...one, ...share }))]);
  fill("positions", rows.filter((one) => Number(one.amount) !== 0).map((one) => [
    cell(one.account), cell(one.symbol), cell(one.strategy), number(one.amount), number(one.average),
    number(one.last), money(one.unrealized), money(one.realized), number(one.fees)]), "flat");
}

async function showTrades() {
  const { open, trades } = await api("/v1/trades?limit=20");
  fill("trades", [...open, ...trades].map((one) => [
    clock(one.opened_at), one.closed_at ? clock(one.closed_at) : cell("open"), cell(one.account),
    cell(one.strategy), cell(one.symbol), cell(one.side), number(one.amount), number(one.entry), number(one.exit),
    money(one.profit), number(one.fees), number(one.slippage)]), "none yet");
}

async function showOrders() {
  const { orders } = await api("/v1/orders?limit=200");
  const shown = byId("finished").checked ? orders : orders.filter((one) => LIVE.includes(one.state));
  fill("orders", shown.map((one) => [
    clock(one.created_at), cell(one.account), cell(one.symbol), cell(one.leg), cell(one.side), cell(one.type),
    number(one.amount), number(one.price ?? one.stop_price), number(one.filled), state(one.state),
    cell(LIVE.includes(one.state)
      ? button("Cancel", () => api(`/v1/orders/${one.id}`, { method: "DELETE" }), { danger: true }) : ""),
  ]), "none is open");
}

let oldest = null;
const alerts = [];

async function showAlerts(more = false) {
  const page = await api(`/v1/alerts?limit=50${more ? `&before=${oldest}` : ""}`);
  if (!more) alerts.length = 0;
  alerts.push(...page.alerts);
  oldest = page.next;
  byId("older").hidden = !oldest;
  fill("alerts", alerts.map((one) => [
    clock(one.received_at), cell(one.symbol), cell(one.action), state(one.state), cell(one.source),
    cell(button(one.id, () => showChain(one.id), { link: true })),
  ]), "none has come yet");
}

async function showChain(id) {
  const alert = await api(`/v1/alerts/${id}`);
  const lines = [
    `${alert.received_at}  accepted from ${alert.source}: ${alert.action} ${alert.symbol}`,
    ...alert.intents.map((one) => `${one.account}: ${one.state}${one.reason ? ` - ${one.reason} (${one.code})` : ""}`),
    ...alert.orders.flatMap((one) => [
      `${one.created_at}  ${one.account} ${one.leg}: ${one.side} ${one.amount} ${one.symbol} ${one.type} → ${one.state}`
        + `${one.reason ? ` - ${one.reason}` : ""}  [${one.client_order_id} = ${one.exchange_order_id ?? "not known there"}]`,
      ...one.fills.map((fill) => `    ${fill.time}  ${fill.amount} at ${fill.price}, fee ${fill.fee} ${fill.fee_currency ?? ""}`),
    ]),
    "", JSON.stringify(alert.body, null, 2),
  ];
  byId("h-chain").textContent = `Alert ${id}: ${alert.state}`;
  const story = document.createElement("pre");
  story.textContent = lines.join("\n");
  byId("story").replaceChildren(story);
  if (!byId("chain").open) byId("chain").showModal();
}

const showAll = () => attempt(() => Promise.all([
  showAccounts(), showPositions(), showTrades(), showOrders(), showAlerts()]));

// Many events come with one order: whatever happens within a moment is one look.
let soon = null;
function lookSoon() {
  soon ??= setTimeout(() => { soon = null; showAll(); }, 250);
}

function told(event) {
  const row = document.createElement("li");
  row.value = event.seq;
  const subject = [event.account, event.alert_id, event.order_id].filter(Boolean).join(" ");
  const time = new Date(event.time).toLocaleTimeString();
  row.textContent = `${time}  ${event.kind}  ${subject}  ${JSON.stringify(event.data)}`;
  byId("events").prepend(row);
  while (byId("events").children.length > MOST_EVENTS) byId("events").lastElementChild.remove();
  lookSoon();
}

// EventSource only calls listeners of the kinds it is told, and the kinds are many: the stream is read by hand.
async function follow() {
  let after = null;
  for (;;) {
    try {
      const reply = await fetch(after === null ? "/v1/events" : `/v1/events?after=${after}`);
      if (reply.status === 401) return location.reload();
      byId("link").textContent = "live";
      await showAll();
      const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; ;) {
        const { value, done } = await reader.read();
        if (done) break;
        const frames = (rest + value).split("\n\n");
        rest = frames.pop();
        for (const frame of frames) {
          const data = frame.split("\n").find((line) => line.startsWith("data: "));
          if (!data) continue;
          const event = JSON.parse(data.slice(6));
          after = event.seq;
          told(event);
        }
      }
    } catch { /* the daemon is away: said below, tried again */ }
    byId("link").textContent = "the daemon does not answer; trying again…";
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

for (const one of document.querySelectorAll("header [data-state]"))
  one.addEventListener("click", () => attempt(() => setTrading(one.dataset.state, null)));
byId("finished").addEventListener("change", () => attempt(showOrders));
byId("older").addEventListener("click", () => attempt(() => showAlerts(true)));
setInterval(() => attempt(showAccounts), 10_000);
follow();
