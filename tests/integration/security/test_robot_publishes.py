"""A robot publishes only about itself and asks only for itself; the server refuses the rest.

Fixture ``robot_a`` has shown before each attack that the same connection may do its own work.
"""

from __future__ import annotations

import pytest

from tests.integration.security.intruder import Intruder

FORBIDDEN = {
    "telemetry_as_another_robot": "robot.telemetry.v1.robot-b",
    "check_in_as_another_robot": "robot.checked_in.v1.robot-b",
    "activation_as_another_robot": "robot.model_activated.v1.robot-b",
    "failure_as_another_robot": "robot.activation_failed.v1.robot-b",
    "fall_back_as_another_robot": "robot.model_fell_back.v1.robot-b",
    "write_own_target": "robot.target.v1.robot-a",
    "write_another_robots_target": "robot.target.v1.robot-b",
    "nudge_another_robot": "robot.nudged.v1.robot-b",
    "nudge_itself": "robot.nudged.v1.robot-a",
    "forge_own_watermark": "telemetry.stored.v1.robot-a",
    "forge_another_robots_watermark": "telemetry.stored.v1.robot-b",
    "forge_a_health_summary": "telemetry.inference_summarized.v1.robot-b",
    "enrol_itself_with_other_labels": "robot.enrolled.v1.robot-a",
    "fire_an_alert": "alert.fired.v1.robot-b.Hot",
    "resolve_an_alert": "alert.resolved.v1.robot-a.Hot",
    "request_a_rollout": "rollout.requested.v1.mine",
    "abort_a_rollout": "rollout.control_requested.v1.theirs",
    "write_a_rollouts_state": "rollout.state.v1.theirs",
    "lower_the_floor_of_its_site": "site.policy_set.v1.berlin",
    "say_who_is_away_at_its_site": "site.occupancy.v1.berlin",
    "write_a_model_record": "model.record.v1.detector",
    "register_a_model": "model.register.v1",
    "move_an_alias": "model.move_alias.v1",
    "query_all_telemetry": "telemetry.query.v1",
    "fetch_another_robots_model": "robot.grant_fetch.v1.robot-b",
    "ask_itself_for_a_recording": "robot.recording_requested.v1.robot-a",
    "ask_another_robot_for_a_recording": "robot.recording_requested.v1.robot-b",
    "send_a_recording_as_another_robot": "robot.grant_upload.v1.robot-b",
    "have_another_robots_recording_kept": "robot.keep_recording.v1.robot-b",
    "claim_that_a_recording_is_stored": "recording.stored.v1.robot-a.mine",
    "fetch_a_recording": "recording.link.v1",
    "write_a_dead_letter": "dlq.dead_lettered.v1.ROLLOUTS.coordinator-robots",
    "unlisted_subject_about_itself": "robot.anything.v1.robot-a",
    "subject_below_its_own": "robot.telemetry.v1.robot-a.more",
    "write_into_an_inbox_of_another": "_INBOX_robot-b.guess",
    "write_into_a_services_inbox": "_INBOX_rollout-coordinator.guess",
    "write_a_servers_reply_mapping": "_R_.guess",
}

STORAGE = {
    "read_another_robots_target": "$JS.API.DIRECT.GET.ROLLOUTS.robot.target.v1.robot-b",
    "read_all_targets_by_wildcard": "$JS.API.DIRECT.GET.ROLLOUTS.robot.target.v1.*",
    "read_by_sequence_or_many_at_once": "$JS.API.DIRECT.GET.ROLLOUTS",
    "read_own_stream_by_sequence": "$JS.API.DIRECT.GET.TELEMETRY",
    "read_what_another_robot_is_asked": (
        "$JS.API.DIRECT.GET.RECORDINGS.robot.recording_requested.v1.robot-b"
    ),
    "read_a_rollout": "$JS.API.DIRECT.GET.ROLLOUTS.rollout.state.v1.theirs",
    "get_a_message": "$JS.API.STREAM.MSG.GET.ROLLOUTS",
    "delete_a_message": "$JS.API.STREAM.MSG.DELETE.TELEMETRY",
    "list_streams": "$JS.API.STREAM.NAMES",
    "describe_a_stream": "$JS.API.STREAM.INFO.ROLLOUTS",
    "describe_the_account": "$JS.API.INFO",
    "create_a_stream": "$JS.API.STREAM.CREATE.MINE",
    "update_a_stream": "$JS.API.STREAM.UPDATE.TELEMETRY",
    "delete_a_stream": "$JS.API.STREAM.DELETE.TELEMETRY",
    "purge_a_stream": "$JS.API.STREAM.PURGE.TELEMETRY",
    "snapshot_a_stream": "$JS.API.STREAM.SNAPSHOT.ROLLOUTS",
    "restore_a_stream": "$JS.API.STREAM.RESTORE.ROLLOUTS",
    "create_a_consumer_of_its_own_subject": (
        "$JS.API.CONSUMER.CREATE.ROLLOUTS.mine.robot.target.v1.robot-a"
    ),
    "redefine_a_services_consumer": "$JS.API.CONSUMER.DURABLE.CREATE.TELEMETRY.ingest-telemetry",
    "pull_from_a_services_consumer": "$JS.API.CONSUMER.MSG.NEXT.TELEMETRY.ingest-telemetry",
    "acknowledge_for_a_service": "$JS.ACK.TELEMETRY.ingest-telemetry.1.1.1.1.0",
    "delete_a_consumer": "$JS.API.CONSUMER.DELETE.TELEMETRY.ingest-telemetry",
    "pause_a_consumer": "$JS.API.CONSUMER.PAUSE.TELEMETRY.ingest-telemetry",
    "list_consumers": "$JS.API.CONSUMER.NAMES.TELEMETRY",
    "write_a_key_value_entry": "$KV.desired.robot-a",
    "write_an_object": "$O.models.C.x",
    "ping_the_server": "$SYS.REQ.SERVER.PING",
    "change_an_account": "$SYS.REQ.CLAIMS.UPDATE",
}


@pytest.mark.parametrize("subject", FORBIDDEN.values(), ids=FORBIDDEN.keys())
async def test_robot_must_not(robot_a: Intruder, subject: str) -> None:
    await robot_a.must_not_publish(subject, b"evil")


@pytest.mark.parametrize("subject", STORAGE.values(), ids=STORAGE.keys())
async def test_robot_must_not_touch_storage(robot_a: Intruder, subject: str) -> None:
    await robot_a.must_not_publish(subject, b"{}")
