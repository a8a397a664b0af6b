"""A stand-in for provider-aws: reconciles the RDS kinds that Stateward composes against the AWS emulator.

Purpose: the sandbox has the real resource definitions of provider-aws v2.5.0 but does not run the provider. This
stands in for it, with the behaviour of crossplane-runtime v2.4 and of upjet's `aws_db_instance` that Stateward builds
on: management and deletion policies, its finalizer and the wait for others, the external name (the `DbiResourceId`
of an instance, the name of a group), create annotations, conditions and their messages, connection secrets, late
initialisation, refusal to replace.

What it is not: provider-aws. It knows instances, subnet groups and parameter groups only, looks every second instead
of watching, writes no events and no ProviderConfigUsages, and knows no credentials but secrets and assumed roles.
"""
