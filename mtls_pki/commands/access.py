"""``mtls-pki access``: client certificates of the clusters, by Kubernetes' own signing requests."""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path

from mtls_pki.commands.command import FILE, Command, add_json, add_stack
from mtls_pki.commands.stack_file_change import add_change_options
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


def _issue_options(parser: argparse.ArgumentParser) -> None:
    add_stack(parser)
    parser.add_argument("machine", metavar="MACHINE", nargs="?", help="default: all of them")
    parser.add_argument("--cluster", metavar="NAME", help="default: all of the machine's")
    parser.add_argument(
        "--approve",
        action="store_true",
        help="approve the request too, where this identity may (deploy/rbac-access-approve.yaml)",
    )
    parser.add_argument(
        "--wait",
        metavar="DURATION",
        type=_duration,
        default="60s",
        help="for the signature of an approved request; default: 60s",
    )


def _renew_options(parser: argparse.ArgumentParser) -> None:
    add_change_options(parser)
    parser.add_argument("machine", metavar="MACHINE", help="its name below clientAccess")


def _list_options(parser: argparse.ArgumentParser) -> None:
    add_stack(parser)
    add_json(parser)


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


def _issue(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.commands.access_machines import issue

    return issue(options)


def _renew(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.commands.access_machines import renew

    return renew(options)


def _list(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.commands.access_machines import list_access

    return list_access(options)


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
        Command(
            name="issue",
            summary="have the machines of the stack certified",
            description="Submits the signing requests that `pulumi up` has written for the "
            "machines below\nclientAccess, and keeps what was signed in the cluster. The same "
            "command again goes\non where an earlier one waited. Needs "
            "deploy/rbac-access-issue.yaml.",
            examples=("access issue deployer --cluster prod-eu",),
            options=_issue_options,
            run=_issue,
        ),
        Command(
            name="renew",
            summary="write a new key of a machine into the stack file",
            description="Applies nothing: `pulumi up` makes the key, `access issue` has it "
            "certified, and\n`pulumi up` puts it into the output kubeconfigs. The key before it "
            "works until the\nend of its certificate.",
            examples=("access renew deployer --dry-run",),
            options=_renew_options,
            run=_renew,
        ),
        Command(
            name="list",
            summary="until when the machines of the stack have access",
            description="Tells the ends of their certificates and of the clusters' CAs, and what "
            "is to be\ndone. Needs deploy/rbac-access-issue.yaml.",
            examples=("access list", "access list --json"),
            options=_list_options,
            run=_list,
        ),
    ),
)
