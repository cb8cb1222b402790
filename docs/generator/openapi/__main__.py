"""`make openapi`: writes the document and the Postman collection into the folder that is given."""

import sys
from pathlib import Path

from docs.generator.openapi.document import document, written
from docs.generator.openapi.postman import collection

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    described = document()
    (folder / "openapi.json").write_text(written(described))
    (folder / "userfold.postman_collection.json").write_text(written(collection(described)))
