"""``mtls-pki exporter``: what ``status`` sees, for Prometheus."""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path

from mtls_pki.commands.command import FILE, Command, add_stack, duration, open_stack
from mtls_pki.exit_status import ExitStatus


def _options(parser: argparse.ArgumentParser) -> None:
    add_stack(parser)
    parser.add_argument(
        "--interval",
        type=duration,
        default=timedelta(minutes=1),
        metavar="DURATION",
        help="from one reading of the clusters to the next (default: 1m)",
    )
    parser.add_argument(
        "--address",
        default="127.0.0.1",
        metavar="IP",
        help="that it listens on; 0.0.0.0 for all (default: 127.0.0.1)",
    )
    parser.add_argument("--port", type=_port, default=9464, metavar="N", help="default: 9464")
    parser.add_argument(
        "--certificate", type=Path, metavar=FILE, help="its own leaf and chain, PEM: serve TLS"
    )
    parser.add_argument("--key", type=Path, metavar=FILE, help="the key of it, PEM")
    parser.add_argument(
        "--client-ca",
        type=Path,
        metavar=FILE,
        help="PEM: serve only clients with a certificate below it",
    )
    parser.add_argument(
        "--textfile",
        type=Path,
        metavar=FILE,
        help="write them there for node-exporter, and serve nothing",
    )
    parser.add_argument(
        "--once", action="store_true", help="read once and end; for --textfile by a timer"
    )


def _run(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.commands.exporter_work import Serving, export

    return export(
        lambda: open_stack(options).settings(),
        interval=options.interval,
        textfile=options.textfile,
        once=options.once,
        serving=Serving(
            address=options.address,
            port=options.port,
            certificate=options.certificate,
            key=options.key,
            client_ca=options.client_ca,
        ),
    )


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r}: write a number from 1 to 65535")
    return int(text)


COMMAND = Command(
    name="exporter",
    summary="serve what `status` sees to Prometheus",
    description="Read the clusters once an interval and serve what was seen: anchors and who "
    "chains to\nthem, bundles, laggards, the next step, and how old all of that is. It needs the "
    "rights of\ndeploy/rbac-evidence.yaml. docs/monitoring.md has the metrics.",
    examples=(
        "exporter --stack prod",
        "exporter --address 0.0.0.0 --certificate tls.crt --key tls.key --client-ca ca.crt",
        "exporter --textfile /var/lib/node_exporter/mtls.prom --once",
    ),
    options=_options,
    run=_run,
)
