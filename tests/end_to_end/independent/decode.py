"""Decodes an OTLP request and shows it as JSON: decode.py metrics|logs FILE

Fails where the file holds a field that the published schema does not know, or is not what Python's protobuf library writes
for the same message.
"""

import json
import sys

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

signal, file = sys.argv[1:]
message = {"metrics": ExportMetricsServiceRequest, "logs": ExportLogsServiceRequest}[signal]()
with open(file, "rb") as opened:
    content = opened.read()
message.ParseFromString(content)
known = type(message)()
known.CopyFrom(message)
known.DiscardUnknownFields()
if known.SerializeToString() != message.SerializeToString():
    sys.exit(f"{file}: has fields that the schema does not know")
if message.SerializeToString() != content:
    sys.exit(f"{file}: is not in the canonical form")
print(json.dumps(MessageToDict(message, preserving_proto_field_name=True), indent=1, sort_keys=True, ensure_ascii=False))
