"""Objects in an S3 bucket, with conditional writes, for runs that keep their state there."""

from stateward.drivers.aws_s3.bucket import Bucket, Stored

__all__ = ["Bucket", "Stored"]
