"""`userfold doctor`."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import typer

from cli import output
from cli.doctor import machine
from cli.doctor.findings import Finding, State, problem
from cli.doctor.mongodb import findings_of
from cli.failures import ExitStatus
from runtime.certificates import CertificateUnusable
from runtime.settings import InvalidSetting
from server.local.mongod import uri_of_running
from server.mongo.inspection import inspect
from server.mongo.migrations import MIGRATIONS, version_after
from server.settings import Settings

app = typer.Typer()


@app.command()
def doctor(json: output.Json = False) -> None:
    """Examine MongoDB and this machine, and say how to mend what is wrong.

    No server has to run, and nothing is changed. Exit status 1: there are problems.
    """
    findings = list(_findings(os.environ))
    problems = sum(finding.state is State.PROBLEM for finding in findings)
    if json:
        output.print_json({"problems": problems, "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            print(f"{finding.state:<8} {finding.subject}: {finding.message}")
            if finding.remedy:
                print(f"         -> {finding.remedy}")
    if problems:
        raise typer.Exit(ExitStatus.FAILED)


def _findings(environment: Mapping[str, str]) -> Iterator[Finding]:
    yield from machine.variables(environment)
    yield from _mongodb(environment)
    yield from machine.disk(environment)
    yield from machine.addresses(environment)
    yield from machine.certificates(environment, machine.utc_now())


def _mongodb(environment: Mapping[str, str]) -> Iterator[Finding]:
    try:
        settings = Settings.from_environment(environment)
    except (InvalidSetting, CertificateUnusable):
        return  # It is among the findings about variables.
    uri = settings.mongodb_uri or uri_of_running(Path(settings.data_dir))
    if uri is None:
        yield problem(
            "connection",
            f"USERFOLD_MONGODB_URI is not set, and no embedded MongoDB runs in {settings.data_dir}",
            "set it to the MongoDB of the servers, or start `userfold run`",
        )
        return
    try:
        yield from findings_of(inspect(uri, settings.database), version_after(MIGRATIONS))
    except InvalidSetting as error:
        yield problem("connection", str(error), "correct it; docs/configuration.md has its form")
