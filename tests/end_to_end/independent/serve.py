"""An OTLP server over gRPC that is not ours: prints its port, then a line of JSON for each request.

It takes the first request of a signal, the second without one item, and answers the third with UNAVAILABLE and a pause of
seven seconds.
"""

import json
import sys
from concurrent import futures

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc


class Service:
    def __init__(self, response, rejected):
        self.response, self.rejected, self.calls = response, rejected, 0

    def Export(self, request, context):
        self.calls += 1
        metadata = dict(context.invocation_metadata())
        names = [m.name for r in getattr(request, "resource_metrics", []) for s in r.scope_metrics for m in s.metrics]
        bodies = [
            record.body.string_value
            for r in getattr(request, "resource_logs", [])
            for s in r.scope_logs
            for record in s.log_records
        ]
        seen = {"names": names, "bodies": bodies, "tenant": metadata.get("x-tenant"), "agent": metadata["user-agent"]}
        print(json.dumps(seen), flush=True)
        if self.calls == 3:
            pause = RetryInfo()
            pause.retry_delay.seconds = 7
            detail = Any()
            detail.Pack(pause)
            status = Status(code=grpc.StatusCode.UNAVAILABLE.value[0], message="später", details=[detail])
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(grpc.StatusCode.UNAVAILABLE, "später")
        response = self.response()
        if self.calls == 2:
            setattr(response.partial_success, self.rejected, 1)
            response.partial_success.error_message = "one is too old"
        return response


server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(
    Service(metrics_service_pb2.ExportMetricsServiceResponse, "rejected_data_points"), server
)
logs_service_pb2_grpc.add_LogsServiceServicer_to_server(
    Service(logs_service_pb2.ExportLogsServiceResponse, "rejected_log_records"), server
)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
# Until the test closes our input.
sys.stdin.read()
server.stop(0)
