#!/usr/bin/env python3
"""Reads OpenMetrics text from standard input; prints its metrics as JSON. A text that is none ends with 1."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "wheel"))
from prometheus_client.openmetrics.parser import text_string_to_metric_families

try:
    families = list(text_string_to_metric_families(sys.stdin.read()))
except ValueError as error:
    sys.exit(str(error))
json.dump(
    [
        {
            "name": family.name,
            "type": family.type,
            "unit": family.unit,
            "help": family.documentation,
            "samples": [{"labels": one.labels, "value": one.value} for one in family.samples],
        }
        for family in families
    ],
    sys.stdout,
)
