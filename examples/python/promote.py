#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs one promotion step with Gantry and waits until its Stage is healthy.

    promote.py PROJECT/STAGE PROMOTION STEP.json

STEP.json is {"uses": ..., "config": {...}}. The exit code is 0 when the step SUCCEEDED and the
Stage is HEALTHY. GANTRY_SERVER names the server, 127.0.0.1:50051 by default.

The stubs are generated from proto/ (examples/generate.sh). The service answers every call the same
way however often it is made, so a call that failed is simply made again.
"""

import json
import os
import sys

import grpc
from google.protobuf import duration_pb2, json_format

from gantry.v1 import health_pb2, step_pb2
from gantry.v1 import promotion_step_service_pb2 as gantry
from gantry.v1 import promotion_step_service_pb2_grpc as gantry_grpc

# One call is held for up to 30 seconds while the step is under way.
WAIT_SECONDS = 30
DEADLINE_SECONDS = WAIT_SECONDS + 10

# gRPC repeats by itself what the service could not judge.
SERVICE_CONFIG = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{"service": "gantry.v1.PromotionStepService"}],
                "retryPolicy": {
                    "maxAttempts": 5,
                    "initialBackoff": "0.5s",
                    "maxBackoff": "10s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)


def run_step(stub, project, stage, promotion, step):
    request = gantry.RunStepRequest(
        project=project,
        stage=stage,
        promotion=promotion,
        uses=step["uses"],
        wait=duration_pb2.Duration(seconds=WAIT_SECONDS),
    )
    json_format.ParseDict(step["config"], request.config)
    while True:
        response = stub.RunStep(request, timeout=DEADLINE_SECONDS)
        status = step_pb2.StepStatus.Name(response.status).removeprefix("STEP_STATUS_")
        print(f"{status}: {response.message}", flush=True)
        for violation in response.violations:
            print(f"  {violation.field}: {violation.description}")
        if response.status != step_pb2.STEP_STATUS_RUNNING:
            return response.status == step_pb2.STEP_STATUS_SUCCEEDED
        # argocd-wait compares with what it saw before.
        request.previous_output.CopyFrom(response.output)


def await_healthy(stub, project, stage, timeout):
    """Follows the Stage instead of asking again and again."""
    request = gantry.WatchStageHealthRequest(project=project, stage=stage)
    for event in stub.WatchStageHealth(request, timeout=timeout):
        if event.WhichOneof("event") != "updated":
            continue
        health = event.updated
        state = health_pb2.HealthState.Name(health.state).removeprefix("HEALTH_STATE_")
        print(f"{health.project}/{health.stage} is {state}", *health.issues, sep="\n  ", flush=True)
        if health.state == health_pb2.HEALTH_STATE_HEALTHY:
            return


def main():
    if len(sys.argv) != 4 or sys.argv[1].count("/") != 1:
        sys.exit(__doc__)
    project, stage = sys.argv[1].split("/")
    with open(sys.argv[3], encoding="utf-8") as file:
        step = json.load(file)
    server = os.environ.get("GANTRY_SERVER", "127.0.0.1:50051")
    options = [("grpc.service_config", SERVICE_CONFIG)]
    with grpc.insecure_channel(server, options) as channel:
        stub = gantry_grpc.PromotionStepServiceStub(channel)
        try:
            if not run_step(stub, project, stage, sys.argv[2], step):
                sys.exit(1)
            await_healthy(stub, project, stage, timeout=60)
        except grpc.RpcError as error:
            sys.exit(f"{server}: {error.code().name}: {error.details()}")


if __name__ == "__main__":
    main()
