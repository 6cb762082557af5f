"""What the real LiteLLM does with keys and names, as JSON. Run by its own interpreter.

Takes a file of questions: model names, and configurations by name, each with an expression that
is evaluated after the proxy's own loader has read it. Nothing is served and nothing is asked.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else the price list is fetched


async def loaded(text: str, expression: str) -> Any:
    """The value of ``expression`` after the loader has read ``text``; or its error."""
    import litellm  # noqa: PLC0415
    from litellm.proxy import proxy_server  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(text)
        try:
            router, models, general = await proxy_server.ProxyConfig().load_config(None, str(path))
        except Exception as error:  # noqa: BLE001  the error is the answer
            return f"{type(error).__name__}: {error}"
    names = {"litellm": litellm, "proxy": proxy_server, "router": router, "models": models}
    return eval(expression, names | {"general": general})  # noqa: S307  our own questions


def provider(model: str) -> str:
    """The provider LiteLLM finds for a model name, or nothing."""
    import litellm  # noqa: PLC0415

    try:
        return str(litellm.get_llm_provider(model=model)[1])
    except Exception:  # noqa: BLE001  whatever it raises, the deployment is dropped
        return ""


def exported() -> list[str]:
    """The metrics LiteLLM registers at its start, as a scrape shows them."""
    from litellm.integrations.prometheus import PrometheusLogger  # noqa: PLC0415
    from litellm.integrations.prometheus_services import PrometheusServicesLogger  # noqa: PLC0415
    from prometheus_client import REGISTRY  # noqa: PLC0415

    PrometheusLogger()
    PrometheusServicesLogger()
    names = REGISTRY._names_to_collectors
    return sorted(name for name in names if name.startswith("litellm_"))


def main() -> None:
    """Answer the questions in the file named as the only argument."""
    import litellm  # noqa: PLC0415
    from litellm.types.router import AllowedFailsPolicy, RetryPolicy  # noqa: PLC0415

    questions = json.loads(Path(sys.argv[1]).read_text())
    answers = {
        "router": litellm.Router.get_valid_args(),
        "retry_policy": list(RetryPolicy.model_fields),
        "allowed_fails_policy": list(AllowedFailsPolicy.model_fields),
        "provider": {model: provider(model) for model in questions["models"]},
        "exported": exported(),
        "loaded": {},
    }
    for name, (text, expression) in questions["configs"].items():
        answers["loaded"][name] = asyncio.run(loaded(text, expression))
    Path(sys.argv[2]).write_text(json.dumps(answers, default=str))


if __name__ == "__main__":
    main()
