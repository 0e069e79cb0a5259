// A person with matrix-js-sdk and its Rust crypto, in the mode that neither hears nor tells devices which their owner has not
// signed (Element's "exclude insecure devices"). It joins a room once it is invited, says each line of its input there, and prints as
// JSON what the bot answers to it. Where BEFORE names an event from before, it begins with what that says, if it can be read: the
// keys of the past are taken from the inviter.
import * as readline from "node:readline";
import { createClient, ClientEvent, MatrixEventEvent, RoomEvent } from "matrix-js-sdk";
import { OnlySignedDevicesIsolationMode } from "matrix-js-sdk/lib/crypto-api/index.js";
import { logger } from "matrix-js-sdk/lib/logger.js";

const { HOMESERVER, USER_ID, PASSWORD, ROOM, BOT, BEFORE } = process.env;
for (const level of ["trace", "debug", "info", "warn", "log"]) {
    console[level] = (...args) => process.env.VERBOSE && console.error(...args);
}
logger.setLevel?.("silent");

const first = createClient({ baseUrl: HOMESERVER });
const login = await first.loginRequest({
    type: "m.login.password", identifier: { type: "m.id.user", user: USER_ID }, password: PASSWORD,
});
const client = createClient({
    baseUrl: HOMESERVER, userId: login.user_id, deviceId: login.device_id, accessToken: login.access_token,
});
await client.initRustCrypto({ useIndexedDB: false });
const crypto = client.getCrypto();
crypto.setDeviceIsolationMode(new OnlySignedDevicesIsolationMode());
await crypto.bootstrapCrossSigning({
    authUploadDeviceSigningKeys: async (request) => {
        try {
            return await request(null);
        } catch (e) {
            return await request({
                type: "m.login.password", identifier: { type: "m.id.user", user: USER_ID }, user: USER_ID, password: PASSWORD, session: e.data.session,
            });
        }
    },
});

const print = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const waiting = new Map(); // event id of what was said → resolve
const early = new Map();
let ready = 0; // when the person could first take part: what was said before is not for them

const hear = (event) => {
    if (event.getSender() !== BOT || event.getRoomId() !== ROOM) return;
    const content = event.getContent();
    const relation = content["m.relates_to"] ?? {};
    const to = relation.event_id ?? relation["m.in_reply_to"]?.event_id;
    if (event.isDecryptionFailure()) {
        if (ready && event.getTs() > ready) print({ failure: event.decryptionFailureReason, text: content.body });
        return;
    }
    if (event.isBeingDecrypted() || event.getType() === "m.room.encrypted" || !to) return;
    const answer = { wire: event.getWireType(), type: event.getType(), text: relation.key ?? content.body };
    if (waiting.has(to)) {
        waiting.get(to)(answer);
        waiting.delete(to);
    } else if (!early.has(to)) {
        early.set(to, answer);
    }
};
client.on(RoomEvent.Timeline, hear);
client.on(MatrixEventEvent.Decrypted, hear);

await client.startClient({ initialSyncLimit: 50 });
await new Promise((resolve) => client.once(ClientEvent.Sync, resolve));
if (BEFORE) print({ ready: true });
const pause = () => new Promise((resolve) => setTimeout(resolve, 100));
while (client.getRoom(ROOM)?.getMyMembership() !== "invite") await pause();
await client.joinRoom(ROOM, { acceptSharedHistory: true });
for (let i = 0; i < 100 && !(await crypto.isEncryptionEnabledInRoom(ROOM)); i++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
}
const before = () => client.getRoom(ROOM)?.findEventById(BEFORE);
for (let i = 0; BEFORE && i < 300 && !before()?.getContent().body?.startsWith("For"); i++) await pause();
if (BEFORE) print({ wire: before()?.getWireType(), type: before()?.getType(), text: before()?.getContent().body ?? "" });
ready = Date.now();
if (!BEFORE) print({ ready: true });

for await (const line of readline.createInterface({ input: process.stdin })) {
    const { event_id: said } = await client.sendTextMessage(ROOM, line);
    print(early.get(said) ?? (await new Promise((resolve) => waiting.set(said, resolve))));
}
client.stopClient();
process.exit(0);
