"""Reading the RBAC templates of a Helm chart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.chart import Chart
from lab.errors import LabError

VALUES: dict[str, Any] = {
    "create": True,
    "off": False,
    "signers": ["issuers.cert-manager.io/*", "clusterissuers.cert-manager.io/*"],
    "nested": {"name": "inner"},
}
HELPERS = """{{/* Names. */}}
{{- define "demo.rules" -}}
- verbs: ["get"]
{{- if .Values.off }}
- verbs: ["delete"]
{{- else if .Values.create }}
- verbs: ["list"]
{{- end }}
{{- end -}}
{{- define "demo.unused" -}}
{{ .Values.off | trunc 63 | trimSuffix "-" }}
{{- end -}}
"""


@pytest.fixture
def chart(tmp_path: Path) -> Chart:
    (tmp_path / "templates").mkdir()
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(VALUES))
    (tmp_path / "templates/_helpers.tpl").write_text(HELPERS)
    return Chart(directory=tmp_path, names={"demo.name": "demo", "labels": ""})


def render(chart: Chart, template: str) -> Any:
    (chart.directory / "templates/x.yaml").write_text(template)
    return chart.render("x.yaml")


@pytest.mark.parametrize(
    ("template", "objects"),
    [
        ('name: {{ template "demo.name" . }}', [{"name": "demo"}]),
        ('name: {{ include "demo.name" . }}-view', [{"name": "demo-view"}]),
        ("{{- /* a: 1 */ -}}\nb: 2", [{"b": 2}]),
        ("{{- if .Values.create }}\na: 1\n{{- end }}", [{"a": 1}]),
        ("{{- if .Values.off }}\na: 1\n{{- end }}", []),
        ("{{- if not .Values.off -}}\na: 1\n{{- else }}\na: 2\n{{- end }}", [{"a": 1}]),
        ("{{- if .Values.off -}}\na: 1\n{{- else }}\na: 2\n{{- end }}", [{"a": 2}]),
        ("a: {{ .Values.nested.name | quote }}", [{"a": "inner"}]),
        ("{{ with .Values.nowhere }}a: {{ .b | unknown }}{{ end }}", []),
        ("{{ with (.Values.nested).nowhere }}a: 1{{ end }}", []),
        ("a: 1\n---\n\n{{- if .Values.create -}}\n\n# why\nb: 2\n{{- end }}", [{"a": 1}, {"b": 2}]),
        (
            'rules:\n{{ include "demo.rules" . }}',
            [{"rules": [{"verbs": ["get"]}, {"verbs": ["list"]}]}],
        ),
        ('a:\n  {{- include "labels" . | nindent 4 }}\n  b: 1', [{"a": {"b": 1}}]),
    ],
)
def test_what_rbac_templates_use(
    chart: Chart, template: str, objects: list[dict[str, Any]]
) -> None:
    assert list(render(chart, template)) == objects


def test_lists(chart: Chart) -> None:
    template = (
        "rule:\n  {{- with .Values.signers }}\n  names:\n  {{- range . }}\n"
        "  - {{ . | quote }}\n  {{- end  }}\n  {{- end }}\n"
    )
    assert render(chart, template) == ({"rule": {"names": VALUES["signers"]}},)


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ('a: {{ include "demo.other" . }}', "unknown helper template 'demo.other'"),
        ("a: {{ .Values.nested | toYaml }}", "unknown function 'toYaml'"),
        ("a: {{ genCA 1 }}", "unknown expression {{ genCA 1 }}"),
        ("{{ if and .Values.create .Values.off }}a: 1{{ end }}", "unknown expression"),
    ],
)
def test_what_is_not_known_is_refused_by_name(chart: Chart, template: str, complaint: str) -> None:
    with pytest.raises(LabError) as refused:
        render(chart, template)
    assert complaint in str(refused.value)
    assert "templates/x.yaml" in str(refused.value)
