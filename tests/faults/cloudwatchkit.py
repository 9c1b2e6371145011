"""What the tests of CloudWatch share: a client of the engine's, and the pieces of its requests."""

from __future__ import annotations

import boto3
from botocore.config import Config

NAMESPACE = "AWS/SageMaker"


def client_of(engine, service="cloudwatch", **config):
    return boto3.client(
        service,
        engine.region,
        endpoint_url=engine.url,
        aws_access_key_id=engine.access_key_id,
        aws_secret_access_key=engine.secret_access_key,
        config=Config(retries={"total_max_attempts": 1}, **config),
    )


def dimensions(**named):
    return [{"Name": name, "Value": value} for name, value in named.items()]


def stat(name, metric, by, stat="Sum", period=3600):
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {"Namespace": NAMESPACE, "MetricName": metric, "Dimensions": by},
            "Period": period,
            "Stat": stat,
        },
    }
