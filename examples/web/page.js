import { client, overHttp, view } from "./engine/client/index.ts";
import { accountClient } from "./schemas/client.ts";

// The server of this page hands /api on to the gateway: one origin, so no CORS.
const bank = client(overHttp(new URL("api", location.href)), {
  aggregates: { account: accountClient },
  views: { balances: view },
});
const [form] = document.forms;
const say = (id, text) => {
  document.getElementById(id).textContent = text;
};

/** The commandId is made before the first try: a lost connection never pays twice. */
async function send(what, accountId, amountCents) {
  if (what === "openAccount") return bank.account.openAccount({ accountId, owner: accountId });
  return bank.account[what]({ accountId, amountCents });
}

async function show(accountId) {
  // Both have what was just sent in them: the client hands its token along.
  const balance = await bank.views.balances.get(accountId);
  const { events } = await bank.account.events(accountId);
  say("balance", balance === null ? "There is no such account." : `${balance.balance_cents} cents`);
  const items = events.map(({ version, type, data }) => {
    const item = document.createElement("li");
    item.value = version;
    item.textContent = `${type} ${JSON.stringify(data)}`;
    return item;
  });
  document.getElementById("events").replaceChildren(...items);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const accountId = form.elements.accountId.value;
  try {
    const answer = await send(event.submitter.value, accountId, Number(form.elements.cents.value));
    say("answer", answer.kind === "rejected" ? `No: ${answer.reason}` : answer.kind);
    await show(accountId);
  } catch (error) {
    say("answer", error.message);
  }
});
