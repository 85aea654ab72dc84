"""The demo service's door of administration: versions, runs and levers."""

from __future__ import annotations

from typing import Any

import grpc
from demo_door import Door, refusing
from demo_facts import HELPDESK, TOPICS, audit_entry, now_us, run_of

from thumbwheel.admin.v1 import admin_pb2 as adm
from thumbwheel.admin.v1.admin_pb2_grpc import AdminServiceServicer
from thumbwheel.errors import Conflict, InvalidInput, UnknownPolicy, UnknownRun, UnknownVersion


class Admin(Door, AdminServiceServicer):
    """Versions, runs and levers."""

    @refusing
    def ListPolicies(self, request: adm.ListPoliciesRequest, context: grpc.ServicerContext) -> Any:
        kinds = {HELPDESK: "generate", TOPICS: "classify"}
        policies = [
            adm.PolicySummary(policy=policy, kind=kinds[policy], champion=self.world.champion(policy), versions=3)
            for policy in self.world.versions
        ]
        return adm.ListPoliciesResponse(policies=policies)

    @refusing
    def ListVersions(self, request: adm.ListVersionsRequest, context: grpc.ServicerContext) -> Any:
        versions = []
        if request.policy not in self.world.versions:
            raise UnknownPolicy(f"policy: there is no {request.policy!r}")
        for version in self.world.versions[request.policy]:
            row = adm.VersionSummary()
            row.CopyFrom(version)
            if version.version == self.world.champion(request.policy):
                row.channels.append("champion")
            versions.append(row)
        return adm.ListVersionsResponse(versions=versions)

    @refusing
    def ListRuns(self, request: adm.ListRunsRequest, context: grpc.ServicerContext) -> Any:
        return adm.ListRunsResponse(
            runs=[run.summary for run in self.world.runs if request.policy in ("", run.summary.policy)]
        )

    @refusing
    def DescribeRun(self, request: adm.DescribeRunRequest, context: grpc.ServicerContext) -> Any:
        for run in self.world.runs:
            if run.summary.run_id == request.run_id:
                return run
        raise UnknownRun(f"run_id: there is no run {request.run_id!r}")

    @refusing
    def ListHistory(self, request: adm.ListHistoryRequest, context: grpc.ServicerContext) -> Any:
        entries = [entry for entry in self.world.history if entry.policy == request.policy]
        return adm.ListHistoryResponse(entries=entries[: request.limit])

    @refusing
    def Promote(self, request: adm.PromoteRequest, context: grpc.ServicerContext) -> Any:
        if request.version not in {one.version for one in self.world.versions[request.policy]}:
            raise UnknownVersion(f"version: {request.policy} has no version {request.version!r}")
        return self._moved(request.policy, request.version, request.actor, request.reason)

    @refusing
    def Rollback(self, request: adm.RollbackRequest, context: grpc.ServicerContext) -> Any:
        if len(self.world.champions[request.policy]) < 2:
            raise Conflict("there is no earlier champion to return to")
        present = self.world.champions[request.policy].pop()
        earlier = self.world.champions[request.policy].pop()
        change = self._moved(request.policy, earlier, request.actor, request.reason)
        self.world.history[0].previous_version = change.previous_version = present
        return change

    @refusing
    def StartRun(self, request: adm.StartRunRequest, context: grpc.ServicerContext) -> Any:
        run = run_of("run-0003", "running", "")
        run.summary.ended_unix_us = 0
        self.world.runs.insert(0, run)
        return adm.StartRunResponse(run_id="run-0003")

    @refusing
    def DescribeVersion(self, request: adm.DescribeVersionRequest, context: grpc.ServicerContext) -> Any:
        raise UnknownVersion("version: the pages never ask for one")

    @refusing
    def EraseUser(self, request: adm.EraseUserRequest, context: grpc.ServicerContext) -> Any:
        raise InvalidInput("user_id", "the pages never erase anybody")

    @refusing
    def StartCanary(self, request: adm.StartCanaryRequest, context: grpc.ServicerContext) -> Any:
        raise Conflict("the pages never start a canary")

    @refusing
    def StopTrial(self, request: adm.StopTrialRequest, context: grpc.ServicerContext) -> Any:
        trial = next(one.trial for one in self.world.status.policies if one.policy == request.policy)
        if trial.state != "running":
            raise Conflict(f"no trial of {request.policy} is running")
        trial.state, trial.ended_unix_us = "stopped", now_us()
        trial.sentence = f"Stopped by {request.actor}: {request.reason}"
        return trial

    @refusing
    def ListTrials(self, request: adm.ListTrialsRequest, context: grpc.ServicerContext) -> Any:
        return adm.ListTrialsResponse()

    @refusing
    def SetShadow(self, request: adm.SetShadowRequest, context: grpc.ServicerContext) -> Any:
        raise Conflict("the pages never set a shadow")

    @refusing
    def Status(self, request: adm.StatusRequest, context: grpc.ServicerContext) -> Any:
        status = adm.StatusResponse()
        status.CopyFrom(self.world.status)
        for one in status.policies:
            *_, one.earlier_champion = ["", *self.world.champions[one.policy][:-1]]
        return status

    def _moved(self, policy: str, version: str, actor: str, reason: str) -> adm.ChannelChange:
        champions = self.world.champions[policy]
        previous = champions[-1] if champions else ""
        champions.append(version)
        self.world.history.insert(0, audit_entry(policy, previous, version, actor, reason, now_us()))
        return adm.ChannelChange(policy=policy, channel="champion", previous_version=previous, version=version)
