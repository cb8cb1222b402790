"""TLS of the HTTP listener."""

import ssl

from runtime.certificates import CertificateFiles, Pem, Reloaded


def server_context(files: CertificateFiles) -> ssl.SSLContext | None:
    """TLS 1.2 or later with this certificate, each handshake with the one that the files hold at the time; None where
    there is none. Raises CertificateUnusable."""
    if files.certificate is None or files.key is None:
        return None
    certificate, key = files.certificate, files.key

    def make(_: Pem) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(certificate.path, key.path)
        return context

    contexts = Reloaded(files, make)

    def exchange(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = contexts.current()

    # Called in every handshake, also where the client names no server. A living context cannot be given another
    # certificate safely: if its key did not fit, it would be left with neither.
    first = make(files.read())
    first.sni_callback = exchange
    return first
