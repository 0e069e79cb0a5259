# A person with matrix-nio and libolm. It joins a room, says each line of its input there, and prints as JSON what the bot
# answers to it.
import asyncio, json, os, sys, tempfile
from nio import AsyncClient, AsyncClientConfig, MegolmEvent, ReactionEvent, RoomMessage, UnknownEvent

e = os.environ
heard = asyncio.Queue()
ready = asyncio.Event()  # what was said before is not for them


def show(what):
    print(json.dumps(what), flush=True)


async def hear(room, event):
    if event.sender != e["BOT"] or room.room_id != e["ROOM"]:
        return
    if isinstance(event, MegolmEvent):
        if ready.is_set():
            show({"failure": "undecryptable", "text": event.session_id})
        return
    content = event.source.get("content", {})
    relation = content.get("m.relates_to", {})
    to = relation.get("event_id") or relation.get("m.in_reply_to", {}).get("event_id")
    await heard.put((to, {
        "wire": "m.room.encrypted" if event.decrypted else event.source.get("type"),
        "type": event.source.get("type"), "text": relation.get("key") or content.get("body"),
    }))


async def main():
    config = AsyncClientConfig(encryption_enabled=True, store_sync_tokens=True)
    client = AsyncClient(e["HOMESERVER"], e["USER_ID"], store_path=tempfile.mkdtemp(), config=config)
    await client.login(e["PASSWORD"])
    for kind in (MegolmEvent, ReactionEvent, RoomMessage, UnknownEvent):
        client.add_event_callback(hear, kind)
    await client.join(e["ROOM"])
    await client.sync(timeout=1000, full_state=True)
    syncing = asyncio.create_task(client.sync_forever(timeout=5000))
    await client.synced.wait()
    ready.set()
    show({"ready": True})
    loop = asyncio.get_running_loop()
    while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        sent = await client.room_send(e["ROOM"], "m.room.message", {"msgtype": "m.text", "body": line}, ignore_unverified_devices=True)
        while True:
            to, answer = await heard.get()
            if to == sent.event_id:
                show(answer)
                break
    syncing.cancel()
    await client.close()


asyncio.run(main())
