"""Updates of users with many session tokens."""

from collections.abc import Callable, Sequence

from benchmarks.comparison.steps import Bench, Step
from benchmarks.load import wrk
from benchmarks.load.frames import write_frames
from benchmarks.load.users import body_of
from benchmarks.load.wrk import Request, raw_request
from benchmarks.runs import Sample, cpu_of, sample_of

_ALIAS_USERS = 20


def aliases(bench: Bench) -> Sequence[Step]:
    """Updates of users with 10 and with 1,000 session tokens, one connection."""
    stack, seconds, userfold = bench.stack, bench.seconds, bench.stack.userfold
    users = {count: [f"aliases{count}-{number}" for number in range(_ALIAS_USERS)] for count in (10, 1000)}
    for count, ids in users.items():
        for user_id in ids:
            bodies = [_with_token(user_id, str(token)) for token in range(1, count)] + [body_of(user_id)]
            userfold.send(Request("POST", "/v1/users/batch", f"[{','.join(bodies)}]"))

    def step(key: str, count: int, body: Callable[[str, int, int], str]) -> Step:
        def run(number: int) -> Sample:
            frames = stack.directory / "requests"
            bodies = (body(users[count][index % _ALIAS_USERS], number, index) for index in range(int(seconds * 1000)))
            requests = (Request("POST", "/v1/users", text) for text in bodies)
            write_frames((raw_request(userfold.url, userfold.headers, request) for request in requests), frames)
            with cpu_of(stack, userfold.services) as cpu:
                measured = wrk.send(userfold.url, frames, 1, seconds)
            for user_id in users[count]:
                userfold.check_profile(user_id, count)
            return sample_of(measured, 1, cpu(measured.calls))

        return Step(f"aliases/{key}", run)

    return [
        step("10", 10, lambda user_id, *_: body_of(user_id)),
        step("1000", 1000, lambda user_id, *_: body_of(user_id)),
        step("1000-new", 1000, lambda user_id, number, index: _with_token(user_id, f"new-{number}-{index}")),
    ]


def _with_token(user_id: str, token: str) -> str:
    """The update of a user with another session token."""
    return body_of(user_id).replace(f"token-of-{user_id}", f"{token}-of-{user_id}")
