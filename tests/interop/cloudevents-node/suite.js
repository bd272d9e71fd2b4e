// Publishes in all three modes with the client's own HTTP binding, and reads back with it.
"use strict";
const assert = require("node:assert/strict");
const { CloudEvent, HTTP } = require("cloudevents");

const url = process.env.HENCE_URL;
const BATCH = "application/cloudevents-batch+json";
const STRUCTURED = "application/cloudevents+json";
let failed = 0;

async function check(what, test) {
  try {
    await test();
    console.log(`  ok      ${what}`);
  } catch (error) {
    failed += 1;
    console.log(`  FAILED  ${what}: ${error.message}`);
  }
}

async function send(message) {
  const answer = await fetch(`${url}/v1/events`, { method: "POST", ...message });
  return { status: answer.status, body: await answer.json() };
}

async function publish(message) {
  const { status, body } = await send(message);
  assert.equal(status, 201, JSON.stringify(body));
  assert.equal(body.durability, "synced");
  return body.position;
}

/** What the server gives back, as the client understands it. */
async function read(position, mode) {
  const answer = await fetch(`${url}/v1/events/${position}?mode=${mode}`);
  assert.equal(answer.status, 200);
  const headers = Object.fromEntries(answer.headers);
  // The binding wants bytes where the data is no text.
  const octets = headers["content-type"] === "application/octet-stream";
  const body = octets ? new Uint8Array(await answer.arrayBuffer()) : await answer.text();
  return HTTP.toEvent({ headers, body });
}

/** The attributes of an event, and its data as something that can be compared. */
function plain(event) {
  const { data, data_base64: _, ...attributes } = event.toJSON();
  const bytes = ArrayBuffer.isView(event.data);
  return { attributes, data: bytes ? [...event.data] : event.data };
}

const time = "2026-11-20T16:00:00.123Z";
const events = {
  "an object": { data: { order: "A-17", amount: 99.5, text: "Grüße, 世界" } },
  "extensions of three types": { data: { n: 1 }, tenant: "north", priority: -7, urgent: true },
  "bytes": { data: Uint8Array.from({ length: 256 }, (_, byte) => byte), datacontenttype: "application/octet-stream" },
  "a schema and a subject": { data: { n: 2 }, dataschema: "https://example.org/order.json", subject: "orders/A-17" },
};

function event(source, id, rest) {
  return new CloudEvent({ source, id, type: "interop.noted", time, datacontenttype: "application/json", ...rest });
}

/** An id that no header has to encode. */
const named = (name) => name.replaceAll(" ", "-");

async function structured() {
  const more = { ...events, "text outside ASCII": { data: { n: 3 }, subject: "Straße 5, \"Köln\" 100% 世界 🦀" } };
  for (const [name, rest] of Object.entries(more)) {
    await check(`structured, ${name}`, async () => {
      const sent = event("/interop/node/structured", named(name), rest);
      const position = await publish(HTTP.structured(sent));
      assert.deepEqual(plain(await read(position, "structured")), plain(sent));
    });
  }
}

async function binary() {
  for (const [name, rest] of Object.entries(events)) {
    await check(`binary, ${name}`, async () => {
      const sent = event("/interop/node/binary", named(name), rest);
      const position = await publish(HTTP.binary(sent));
      // Headers carry no types: texts come back.
      const expected = plain(sent);
      for (const extension of ["priority", "urgent"]) {
        if (extension in rest) expected.attributes[extension] = String(rest[extension]);
      }
      for (const mode of ["structured", "binary"]) {
        assert.deepEqual(plain(await read(position, mode)), expected, mode);
      }
    });
  }
}

async function batch() {
  const names = Object.keys(events).filter((name) => name !== "bytes");
  const sent = names.map((name) => event("/interop/node/batch", named(name), events[name]));
  const message = (list) => ({ headers: { "content-type": BATCH }, body: JSON.stringify(list) });
  await check("batch", async () => {
    const { status, body } = await send(message(sent));
    assert.equal(status, 201, JSON.stringify(body));
    assert.deepEqual(body.receipts.map((receipt) => receipt.id), names.map(named));
    for (const [index, { position }] of body.receipts.entries()) {
      assert.deepEqual(plain(await read(position, "structured")), plain(sent[index]));
    }
  });
  await check("batch, the client reads a list as one", async () => {
    const answer = await fetch(`${url}/v1/events?source=/interop/node/batch`);
    const items = (await answer.json()).items.map((item) => item.event);
    const found = HTTP.toEvent({ headers: { "content-type": BATCH }, body: JSON.stringify(items) });
    assert.deepEqual(found.map(plain), sent.map(plain));
  });
  await check("batch, one bad event and nothing is stored", async () => {
    const fresh = sent.map((one) => one.cloneWith({ source: "/interop/node/bad" }).toJSON());
    delete fresh[1].id;
    const { status, body } = await send(message(fresh));
    assert.deepEqual([status, body.code, body.errors[0].pointer], [400, "HN4001", "/1/id"]);
    const answer = await fetch(`${url}/v1/events?source=/interop/node/bad`);
    assert.deepEqual((await answer.json()).items, []);
  });
}

/** What this client does differently, and what comes of it. */
async function habits() {
  await check("habit: it writes headers raw, and fetch refuses text outside Latin-1", async () => {
    const sent = event("/interop/node/habit", "1", { data: { n: 1 }, subject: "世界" });
    assert.equal(HTTP.binary(sent).headers["ce-subject"], "世界");
    await assert.rejects(send(HTTP.binary(sent)), TypeError);
  });
  await check("habit: Latin-1 in a header is not UTF-8, and is refused", async () => {
    const sent = event("/interop/node/habit", "2", { data: { n: 1 }, subject: "Straße" });
    const { status, body } = await send(HTTP.binary(sent));
    assert.deepEqual([status, body.code], [400, "HN4001"]);
  });
  await check("habit: a percent sign that it does not encode is decoded here", async () => {
    const sent = event("/interop/node/habit", "3", { data: { n: 1 }, subject: "100%25 of 5%" });
    const position = await publish(HTTP.binary(sent));
    assert.equal((await read(position, "structured")).subject, "100% of 5%");
  });
  await check("habit: it does not decode what comes back in headers", async () => {
    const sent = event("/interop/node/habit", "4", { data: { n: 1 }, subject: "two words" });
    const position = await publish(HTTP.structured(sent));
    assert.equal((await read(position, "structured")).subject, "two words");
    assert.equal((await read(position, "binary")).subject, "two%20words");
  });
  await check("habit: structured bytes come back as a Uint32Array of bytes", async () => {
    const sent = event("/interop/node/habit", "5", events.bytes);
    const position = await publish(HTTP.structured(sent));
    assert.ok((await read(position, "structured")).data instanceof Uint32Array);
    const answer = await fetch(`${url}/v1/events/${position}`, { headers: { accept: STRUCTURED } });
    const bytes = Buffer.from((await answer.json()).data_base64, "base64");
    assert.deepEqual([...bytes], [...events.bytes.data]);
  });
}

async function main() {
  await structured();
  await binary();
  await batch();
  await habits();
  process.exit(failed ? 1 : 0);
}
main();
