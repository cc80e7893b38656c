"""Names the language of texts."""

from __future__ import annotations

from typing import Annotated

from py3langid.langid import MODEL_FILE, LanguageIdentifier
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from jangada.algorithms.authoring import Context, InvalidInput


class In(BaseModel):
    """Texts whose language is wanted."""

    model_config = ConfigDict(extra="forbid")

    texts: list[Annotated[str, StringConstraints(max_length=100_000)]] = Field(
        min_length=1, max_length=256, description="1 to 256 texts. Three words are usually enough."
    )
    languages: list[Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]] | None = Field(
        default=None, min_length=2, max_length=100, description="Choose among these ISO 639-1 codes only."
    )


class Language(BaseModel):
    """The language of one text."""

    lang: str | None = Field(description="ISO 639-1 code; null for a text without letters.")
    prob: float = Field(description="0 to 1.")


class Out(BaseModel):
    """One language per text, in the same order."""

    langs: list[Language]


class TextLangid:
    """See the module."""

    def setup(self) -> None:
        """Load the model that the package carries; 0.1 s."""
        self._identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        self._known = set(self._identifier.labels)

    def run(self, input: In, context: Context) -> Out:  # noqa: ARG002
        """Classify every text. Raises `InvalidInput` for a language the model does not know."""
        if input.languages is not None:
            unknown = sorted(set(input.languages) - self._known)
            if unknown:
                raise InvalidInput(
                    f"languages: unknown {', '.join(unknown)}; expected some of {', '.join(sorted(self._known))}"
                )
        self._identifier.set_languages(input.languages)
        return Out(langs=[self._language(text) for text in input.texts])

    def _language(self, text: str) -> Language:
        if not any(character.isalpha() for character in text):
            return Language(lang=None, prob=0.0)
        label, probability = self._identifier.classify(text)
        return Language(lang=str(label), prob=round(float(probability), 4))
