"""One table, the effect of an event."""

from uuid import UUID

from sqlalchemy import MetaData, Text, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from service_kit.database import NAMING


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


class Effect(Base):
    __tablename__ = "effects"

    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[UUID] = mapped_column(Uuid)
    what: Mapped[str] = mapped_column(Text)
