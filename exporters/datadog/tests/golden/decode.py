"""Decodes bodies of requests to Datadog's intake, by the field tables of its protocol and nothing else.

    decode.py < list

The list has a line a body: its route, its content encoding and the path of its file, separated by spaces. For each a line
of JSON is printed. Whatever the tables do not allow (a field or key that they do not name, a type other than theirs, a
number longer than it needs to be, something missing or left over) ends it with an error.

Python's standard library is all it needs. Tables: DataDog/agent-payload, proto/metrics/agent_payload.proto, for the
protobuf bodies; Datadog's public API reference for the JSON ones.
"""

import gzip
import json
import struct
import sys
import zlib

VARINT, FIXED64, LENGTH_DELIMITED = 0, 1, 2

# Field number: name, type, repeated.
MESSAGES = {
    "MetricPayload": {1: ("series", "MetricSeries", True)},
    "MetricSeries": {
        1: ("resources", "Resource", True),
        2: ("metric", "string", False),
        3: ("tags", "string", True),
        4: ("points", "MetricPoint", True),
        5: ("type", "MetricType", False),
        6: ("unit", "string", False),
        7: ("source_type_name", "string", False),
        8: ("interval", "int64", False),
    },
    "Resource": {1: ("type", "string", False), 2: ("name", "string", False)},
    "MetricPoint": {1: ("value", "double", False), 2: ("timestamp", "int64", False)},
    "SketchPayload": {1: ("sketches", "Sketch", True), 2: ("metadata", "CommonMetadata", False)},
    "CommonMetadata": {},
    "Sketch": {
        1: ("metric", "string", False),
        2: ("host", "string", False),
        4: ("tags", "string", True),
        7: ("dogsketches", "Dogsketch", True),
    },
    "Dogsketch": {
        1: ("ts", "int64", False),
        2: ("cnt", "int64", False),
        3: ("min", "double", False),
        4: ("max", "double", False),
        5: ("avg", "double", False),
        6: ("sum", "double", False),
        7: ("k", "sint32", "packed"),
        8: ("n", "uint32", "packed"),
    },
}

METRIC_TYPES = {0: "UNSPECIFIED", 1: "COUNT", 2: "RATE", 3: "GAUGE"}

# Key: type, required.
CHECK_RUN = {
    "check": (str, True),
    "host_name": (str, True),
    "timestamp": (int, False),
    "status": (int, True),
    "message": (str, False),
    "tags": (list, True),
}
EVENT = {
    "title": (str, True),
    "text": (str, True),
    "date_happened": (int, False),
    "host": (str, False),
    "priority": (str, False),
    "alert_type": (str, False),
    "aggregation_key": (str, False),
    "source_type_name": (str, False),
    "tags": (list, False),
}
# A log may have any other key, which is an attribute.
LOG = {
    "message": (str, True),
    "status": (str, False),
    "timestamp": (int, False),
    "hostname": (str, False),
    "service": (str, False),
    "ddsource": (str, False),
    "ddtags": (str, False),
}


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def more(self):
        return self.at < len(self.data)

    def take(self, count):
        if self.at + count > len(self.data):
            raise ValueError(f"{count} bytes at {self.at} of {len(self.data)}")
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                if byte == 0 and shift > 7:
                    raise ValueError(f"a number before {self.at} is longer than it needs to be")
                if value >= 1 << 64:
                    raise ValueError(f"a number before {self.at} is too large")
                return value


def signed(value, bits):
    return value - (1 << bits) if value >= 1 << (bits - 1) else value


def scalar(reader, wire_type, kind):
    if kind == "double":
        expect(wire_type, FIXED64, kind)
        return struct.unpack("<d", reader.take(8))[0]
    if kind == "string" or kind in MESSAGES:
        expect(wire_type, LENGTH_DELIMITED, kind)
        data = reader.take(reader.varint())
        return data.decode("utf-8") if kind == "string" else message(data, kind)
    expect(wire_type, VARINT, kind)
    return integer(reader.varint(), kind)


def integer(value, kind):
    if kind == "int64":
        return signed(value, 64)
    if kind == "uint32":
        return in_range(value, 0, 1 << 32)
    if kind == "sint32":
        return in_range((value >> 1) ^ -(value & 1), -(1 << 31), 1 << 31)
    return METRIC_TYPES[value]


def in_range(value, least, end):
    if not least <= value < end:
        raise ValueError(f"{value} is not a 32-bit number")
    return value


def expect(wire_type, expected, kind):
    if wire_type != expected:
        raise ValueError(f"wire type {wire_type} for {kind}")


def default(kind, repeated):
    if repeated:
        return []
    if kind in MESSAGES:
        return None
    return {"string": "", "double": 0.0, "MetricType": "UNSPECIFIED"}.get(kind, 0)


def message(data, name):
    fields = MESSAGES[name]
    decoded = {field: default(kind, repeated) for field, kind, repeated in fields.values()}
    reader, seen = Reader(data), set()
    while reader.more():
        key = reader.varint()
        number, wire_type = key >> 3, key & 7
        if number not in fields:
            raise ValueError(f"{name} has no field {number}")
        field, kind, repeated = fields[number]
        if repeated == "packed":
            expect(wire_type, LENGTH_DELIMITED, kind)
            packed = Reader(reader.take(reader.varint()))
            while packed.more():
                decoded[field].append(integer(packed.varint(), kind))
        elif repeated:
            decoded[field].append(scalar(reader, wire_type, kind))
        elif number in seen:
            raise ValueError(f"{name}.{field} comes twice")
        else:
            decoded[field] = scalar(reader, wire_type, kind)
        seen.add(number)
    return decoded


def json_value(data):
    def unique(pairs):
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError(f"a key comes twice: {[key for key, _ in pairs]}")
        return found

    def no_constant(word):
        raise ValueError(f"{word} is not JSON")

    return json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_constant=no_constant)


def checked(value, keys, others=False):
    if not isinstance(value, dict):
        raise ValueError(f"not an object: {value!r}")
    for key, (kind, required) in keys.items():
        if key not in value:
            if required:
                raise ValueError(f"no {key} in {value!r}")
        elif type(value[key]) is not kind:
            raise ValueError(f"{key} is {value[key]!r}")
        elif kind is list and any(type(item) is not str for item in value[key]):
            raise ValueError(f"{key} is {value[key]!r}")
    unknown = set(value) - set(keys)
    if unknown and not others:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    return value


def array(data, keys, others=False):
    value = json_value(data)
    if not isinstance(value, list) or not value:
        raise ValueError("not an array with something in it")
    return [checked(item, keys, others) for item in value]


def sketches(data):
    payload = message(data, "SketchPayload")
    if payload["metadata"] is None:
        raise ValueError("no metadata")
    for sketch in payload["sketches"]:
        for points in sketch["dogsketches"]:
            if points["k"] != sorted(points["k"]) or sum(points["n"]) != points["cnt"] or len(points["k"]) != len(points["n"]):
                raise ValueError(f"bins of {sketch['metric']} do not add up: {points}")
    return payload


ROUTES = {
    "/api/v2/series": lambda data: message(data, "MetricPayload"),
    "/api/beta/sketches": sketches,
    "/api/v1/check_run": lambda data: array(data, CHECK_RUN),
    "/api/v1/events": lambda data: checked(json_value(data), EVENT),
    "/api/v2/logs": lambda data: array(data, LOG, others=True),
}


def plain(data, encoding):
    if encoding == "identity":
        return data
    if encoding == "gzip":
        return gzip.decompress(data)
    if encoding == "deflate":
        # The zlib container: a bare deflate stream is an error here.
        stream = zlib.decompressobj(zlib.MAX_WBITS)
        body = stream.decompress(data) + stream.flush()
        if not stream.eof or stream.unused_data:
            raise ValueError("not one whole zlib stream")
        return body
    raise ValueError(f"encoding {encoding}")


def main():
    for line in sys.stdin:
        route, encoding, path = line.rstrip("\n").split(" ", 2)
        with open(path, "rb") as file:
            body = plain(file.read(), encoding)
        try:
            decoded = ROUTES[route](body)
        except (ValueError, KeyError) as error:
            sys.exit(f"{path}: {error}")
        print(json.dumps(decoded, ensure_ascii=False, sort_keys=True))


if __name__ == "__main__":
    main()
