"""The methods of MetadataService."""

from collections.abc import Callable
from operator import attrgetter
from typing import Final

from userfold.v1 import metadata_service_pb2 as pb

from runtime.turns import Turns
from server import limits
from server.rpc.call import Call
from server.services.overview.kept_responses import KeptResponses
from server.users.catalogue.builder import CatalogueBuilder, Slices
from server.users.catalogue.listing import CataloguePath, Listing
from server.users.catalogue.sample import MetadataSamples, estimated, plan_sample

# In steps of `limits.SLICE_WORK`.
_PROFILE_STEPS: Final = 60
_BYTES_PER_STEP: Final = 50
_PATH_STEPS: Final = 80


class MetadataService:
    """Serves `userfold.v1.MetadataService`. Catalogues are computed in slices, in `turns` of the applications.

    `secret` decides which users are sampled. `clock` returns seconds from any starting point.
    """

    def __init__(self, samples: MetadataSamples, secret: bytes, turns: Turns, clock: Callable[[], float]) -> None:
        self._samples = samples
        self._secret = secret
        self._turns = turns
        self._catalogues = KeptResponses(self._catalogue, clock)

    async def GetMetadataCatalogue(
        self, _: pb.GetMetadataCatalogueRequest, call: Call
    ) -> pb.GetMetadataCatalogueResponse:
        return await self._catalogues.get(call.application_id)

    async def _catalogue(self, application_id: str) -> pb.GetMetadataCatalogueResponse:
        plan = plan_sample(application_id, self._secret)
        response = pb.GetMetadataCatalogueResponse()
        sample = await self._samples.sample(plan)
        users = len(sample.users)
        all_users = users if sample.last_id is None else plan.estimate(users, sample.last_id)

        async def in_turns(slices: Slices) -> None:
            for _ in slices:
                await self._turns.turn(application_id)

        builder, steps = CatalogueBuilder(), 0
        for fetched in sorted(sample.users, key=attrgetter("size")):
            steps += _PROFILE_STEPS + fetched.size // _BYTES_PER_STEP
            if steps >= limits.SLICE_WORK:
                steps = 0
                await self._turns.turn(application_id)
            await in_turns(builder.add(fetched.metadata()))
        await in_turns(builder.finish())
        listing = Listing(builder.root)
        await in_turns(listing.collect())
        for count, path in enumerate(listing.paths(), 1):
            message = response.paths.add()
            _fill_path(path, message)
            message.estimated_user_count = estimated(path.users * all_users / users, path.users)
            if count % (limits.SLICE_WORK // _PATH_STEPS) == 0:
                await self._turns.turn(application_id)
        response.has_more_paths = listing.has_more
        response.sampled_user_count = users
        response.is_complete = sample.last_id is None
        response.estimated_user_count = all_users
        return response


def _fill_path(path: CataloguePath, message: pb.MetadataPath) -> None:
    message.path = path.path
    message.has_wildcard = path.has_wildcard
    message.sampled_user_count = path.users
    message.has_conflict = path.has_conflict
    message.key_count = path.keys
    for kind, count in path.types:
        message.types.add(type=kind, count=count)
    for shape, count in path.shapes:
        message.string_shapes.add(shape=shape.kind, length=shape.length, pattern=shape.pattern, count=count)
    if path.numbers is not None:
        message.numbers.integer_count = path.numbers.integers
        message.numbers.negative_count = path.numbers.negatives
        message.numbers.zero_count = path.numbers.zeros
        if path.numbers.smallest is not None and path.numbers.largest is not None:
            message.numbers.smallest_exponent = path.numbers.smallest
            message.numbers.largest_exponent = path.numbers.largest
    for kind, count in path.elements:
        message.arrays.element_types.add(type=kind, count=count)
    for length, count in path.lengths:
        message.arrays.lengths.add(max_length=length, count=count)
