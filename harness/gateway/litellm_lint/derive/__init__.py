"""Which keys of a config.yaml a LiteLLM reads, and which metrics it exports, from its source.

``python -m harness.gateway.litellm_lint.derive > keys/<version>.json`` reads the package in the
gateway's environment; a folder of installed packages as argument reads another. Nothing of it is
imported or started: its modules are parsed, and the sections of the file are followed from
function to function, so that where ``general_settings`` is passed on as ``settings``, what is
read off ``settings`` counts. Each key comes with the places that read it, so that a person can
check, and with the annotation the package gives it. Reading too much costs a missed dead key,
reading too little a false alarm; so doubt counts as read.

The modules use the standard library alone and run under LiteLLM's own interpreter too.
"""
