"""The models a caller can choose from, and which of them fit a run."""

from collections.abc import Sequence
from dataclasses import dataclass

from graph.context import Context
from graph.errors import UnknownModel

OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class Model:
    """One entry: what is known of a model before it is asked."""

    name: str
    tools: bool = True
    """Takes tool schemas. Assumed of a model nothing else is known of."""

    @property
    def free(self) -> bool:
        """Costs nothing: the offline model, and what OpenRouter's suffix marks."""
        return self.name == OFFLINE or self.name.endswith(":free")


class Catalogue:
    """The configured chain, in order, and the offline model behind it."""

    def __init__(self, chain: Sequence[str]) -> None:
        self.chain = [Model(name) for name in chain]
        self._models = {model.name: model for model in [*self.chain, Model(OFFLINE)]}

    @property
    def names(self) -> list[str]:
        """Every name a caller may ask for, in the order of the chain."""
        return list(self._models)

    def candidates(self, context: Context, *, require_tools: bool) -> list[str]:
        """List the models to ask in this run, the first choice first.

        Raises:
            UnknownModel: the context names a model that is not here.
        """
        chain = self.chain or [self._models[OFFLINE]]
        if context.model is not None:
            chosen = self._models.get(context.model)
            if chosen is None:
                raise UnknownModel(
                    f"There is no model {context.model!r}; there are: {', '.join(self.names)}."
                )
            chain = [chosen, *(model for model in chain if model is not chosen)]
        if not context.use_fallback:
            chain = chain[:1]
        return [
            model.name
            for model in chain
            if (model.tools or not require_tools) and (model.free or not context.free_only)
        ]
