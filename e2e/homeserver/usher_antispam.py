"""The protocol of synapse-http-antispam, for tests: what a homeserver asks, and what it makes of the answers."""
import json

from synapse.api.errors import Codes, HttpResponseException
from synapse.module_api import NOT_SPAM


class HTTPAntispam:
    def __init__(self, config, api):
        self.config, self.api, self.pinged = config, api, False
        api.register_spam_checker_callbacks(**{name: getattr(self, name) for name in config["enabled_callbacks"]})
        if config.get("do_ping"):
            api.looping_background_call(self.ping, 500)

    @staticmethod
    def parse_config(config):
        return config

    async def post(self, callback, body):
        headers = {b"Authorization": [b"Bearer " + self.config["authorization"].encode()]}
        return await self.api.http_client.post_json_get_json(f"{self.config['base_url']}/{callback}", body, headers)

    async def ping(self):
        if not self.pinged:
            self.pinged = await self.post("ping", {"id": "abcdefgh"}) == {"id": "abcdefgh", "status": "ok"}

    async def ask(self, callback, body):
        try:
            await self.post(callback, body)
            return NOT_SPAM
        except HttpResponseException as refused:
            try:
                answer = json.loads(refused.response)
                return next((c for c in Codes if c.value == answer.get("errcode")), Codes.FORBIDDEN), answer
            except ValueError:
                pass
        except Exception:
            pass  # no connection, or an answer that is no JSON
        if self.config.get("fail_open", {}).get(callback):
            return NOT_SPAM
        return Codes.UNKNOWN, {"error": "Failed to connect to antispam server"}

    async def user_may_invite(self, inviter, invitee, room_id):
        return await self.ask("user_may_invite", {"inviter": inviter, "invitee": invitee, "room_id": room_id})

    async def federated_user_may_invite(self, event):
        body = {"event_id": event.event_id, "type": event.type, "state_key": event.state_key, "sender": event.sender, "room_id": event.room_id,
                "content": dict(event.content), "origin_server_ts": event.origin_server_ts,
                "unsigned": {"invite_room_state": [dict(e) for e in event.unsigned.get("invite_room_state", [])]}}
        return await self.ask("federated_user_may_invite", {"event": body})

    async def user_may_send_3pid_invite(self, inviter, medium, address, room_id):
        return await self.ask("user_may_send_3pid_invite", {"inviter": inviter, "medium": medium, "address": address, "room_id": room_id})

    async def user_may_join_room(self, user, room, is_invited):
        return await self.ask("user_may_join_room", {"user": user, "room": room, "is_invited": is_invited})
