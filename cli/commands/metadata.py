"""`userfold metadata`: what the metadata of users consists of, over gRPC."""

import typer
from userfold.v1.metadata_service_pb2 import GetMetadataCatalogueRequest, MetadataPath, StringShape

from cli.connection import connected
from cli.output import Json, note, print_json, print_table
from gateway.transcoding.json_encoder import plain

app = typer.Typer()

_HEADINGS = ("PATH", "USERS", "TYPES", "STRINGS", "KEYS")


@app.command()
def metadata(as_json: Json = False) -> None:
    """List the paths below metadata, how many users have each, and what the values look like. Needs USERFOLD_TOKEN."""
    with connected() as connection:
        response = connection.call(connection.metadata_catalogues.GetMetadataCatalogue, GetMetadataCatalogueRequest())
    if as_json:
        print_json(plain(response))
        return
    print_table(_HEADINGS, map(_row, response.paths))
    if not response.is_complete:
        note(
            f"Estimated from {response.sampled_user_count} of about {response.estimated_user_count} users:"
            " rarer paths may be missing."
        )
    if response.has_more_paths:
        note("There are more paths, which are rarer or longer.")


def _row(path: MetadataPath) -> tuple[object, ...]:
    types = ", ".join(f"{each.type} {each.count}" for each in path.types)
    return (
        path.path,
        path.estimated_user_count,
        f"{types} (conflict)" if path.has_conflict else types,
        ", ".join(map(_shape, path.string_shapes)) or None,
        path.key_count or None,
    )


def _shape(shape: StringShape) -> str:
    form = shape.pattern or shape.length
    return f"{shape.shape} {form}" if form else shape.shape
