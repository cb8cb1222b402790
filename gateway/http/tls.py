"""TLS of the HTTP listener."""

import ssl

from runtime.certificates import CertificateFiles, NoteEnds, Pem, Reloaded, note_nothing


def server_context(files: CertificateFiles, note_ends: NoteEnds = note_nothing) -> ssl.SSLContext | None:
    """A context for TLS 1.2 or later, which reads the certificate's files again after they have changed; None where no
    certificate is set. `note_ends` is as in Reloaded. Raises CertificateUnusable."""
    if files.certificate is None or files.key is None:
        return None
    certificate, key = files.certificate, files.key

    def make(_: Pem) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(certificate.path, key.path)
        return context

    contexts = Reloaded(files, make, note_ends)

    def use_current(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = contexts.current()

    # Called in every handshake, even if the client names no server. The certificate of a context in use cannot be
    # replaced safely: if the new key did not match, the context would have neither.
    first = make(files.read())
    first.sni_callback = use_current
    return first
