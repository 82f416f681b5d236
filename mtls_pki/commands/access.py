"""``mtls-pki access``: client certificates of the clusters, by Kubernetes' own signing requests."""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path

from mtls_pki.commands.command import FILE, Command, add_stack
from mtls_pki.exit_status import ExitStatus


def _cluster(parser: argparse.ArgumentParser) -> None:
    add_stack(parser)
    parser.add_argument("--cluster", metavar="NAME", help="of the stack; default: the only one")


def _request_options(parser: argparse.ArgumentParser) -> None:
    _cluster(parser)
    parser.add_argument("file", metavar=FILE, type=Path, help="the signing request (PEM, PKCS#10)")
    parser.add_argument(
        "--valid-for",
        metavar="DURATION",
        type=_duration,
        default="24h",
        help="from 10m; the signer takes 5 minutes off; default: 24h",
    )


def _decide_options(parser: argparse.ArgumentParser) -> None:
    _cluster(parser)
    parser.add_argument("request", metavar="NAME", help="of the request, or its file")
    parser.add_argument("--reason", metavar="TEXT", help="for whoever reads the request later")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def _kubeconfig_options(parser: argparse.ArgumentParser) -> None:
    _cluster(parser)
    parser.add_argument("request", metavar="NAME", help="of the request, or its file")
    parser.add_argument("--key", metavar=FILE, type=Path, required=True, help="its private key")
    parser.add_argument(
        "--output", metavar=FILE, type=Path, required=True, help="the kubeconfig (0600); a new file"
    )
    parser.add_argument(
        "--wait",
        metavar="DURATION",
        type=_duration,
        default="60s",
        help="for the signature of an approved request; default: 60s",
    )


def _check_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar=FILE, type=Path, help="a kubeconfig")


def _duration(text: str) -> timedelta:
    from mtls_pki.rotation.durations import DurationError, parse_duration

    try:
        return parse_duration(text)
    except DurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _request(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.commands.access_work import request

    return request(options)


def _approve(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.commands.access_work import decide

    return decide(options, approve=True)


def _deny(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.commands.access_work import decide

    return decide(options, approve=False)


def _kubeconfig(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.commands.access_work import kubeconfig

    return kubeconfig(options)


def _check(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.commands.access_work import check

    return check(options)


COMMAND = Command(
    name="access",
    summary="client certificates for people and machines, by Kubernetes' signing requests",
    description="The key stays with its owner. docs/access.md tells the whole story.",
    examples=("access request admin.csr --cluster prod-eu",),
    commands=(
        Command(
            name="request",
            summary="check a signing request and submit it",
            description="Checks key and subject, and submits the request under a name made from "
            "its key:\nthe same command again submits nothing, and tells how far it has come. "
            "Needs\ndeploy/rbac-access-request.yaml.",
            examples=("access request admin.csr --cluster prod-eu --valid-for 8h",),
            options=_request_options,
            run=_request,
        ),
        Command(
            name="approve",
            summary="show what a request asks for, and approve it",
            description="Needs deploy/rbac-access-approve.yaml, which nobody should have who may "
            "request.",
            examples=(
                "access approve mtls-pki-0123456789abcdef0123456789abcdef --cluster prod-eu",
            ),
            options=_decide_options,
            run=_approve,
        ),
        Command(
            name="deny",
            summary="show what a request asks for, and deny it",
            description="Needs deploy/rbac-access-approve.yaml.",
            examples=("access deny admin.csr --cluster prod-eu --reason 'left the team'",),
            options=_decide_options,
            run=_deny,
        ),
        Command(
            name="kubeconfig",
            summary="write the kubeconfig of a request that was signed",
            description="Waits for the signature, makes sure that it is for this key, and writes "
            "a new\nfile that only its owner can read. Needs deploy/rbac-access-request.yaml.",
            examples=(
                "access kubeconfig admin.csr --cluster prod-eu --key admin.key "
                "--output admin.kubeconfig",
            ),
            options=_kubeconfig_options,
            run=_kubeconfig,
        ),
        Command(
            name="check",
            summary="tell until when a kubeconfig works",
            description="Tells the ends of its certificate and of the cluster's CA in it, and "
            "whether the\nAPI server is still of that CA.",
            examples=("access check admin.kubeconfig",),
            options=_check_options,
            run=_check,
        ),
    ),
)
