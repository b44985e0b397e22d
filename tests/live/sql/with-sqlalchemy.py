# SPDX-License-Identifier: BSD-2-Clause
"""SQLAlchemy URL: sessions of its object mapper. Prints as with-psycopg.py what its driver sent, and was
told, but for statements with many sets of values."""
import json
import sys
import threading

import sqlalchemy as sa
from sqlalchemy import orm

Base = orm.declarative_base()


class Customer(Base):
    __tablename__ = "customers"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(40), unique=True)
    orders = orm.relationship("Order", back_populates="customer", cascade="all, delete-orphan")


class Order(Base):
    __tablename__ = "orders"
    id = sa.Column(sa.Integer, primary_key=True)
    customer_id = sa.Column(sa.ForeignKey("customers.id"))
    amount = sa.Column(sa.Integer)
    customer = orm.relationship("Customer", back_populates="orders")


engine = sa.create_engine(sys.argv[1], pool_size=4, future=True)


lock = threading.Lock()


def tell(cursor, statement, parameters, rows=None, error=""):
    text = cursor.mogrify(statement, parameters)
    with lock:
        print(json.dumps({"text": text.decode() if isinstance(text, bytes) else text, "rows": rows,
                          "error": str(error)}))


@sa.event.listens_for(engine, "after_cursor_execute")
def told(conn, cursor, statement, parameters, context, executemany):
    if not executemany:
        counted = statement.lstrip()[:6] in ("SELECT", "INSERT", "UPDATE", "DELETE")
        tell(cursor, statement, parameters, cursor.rowcount if counted else None)


@sa.event.listens_for(engine, "handle_error")
def failed(context):
    error = context.original_exception
    tell(context.execution_context.cursor, context.statement, context.parameters, None,
         getattr(error, "pgcode", None) or error.args[0])


Base.metadata.create_all(engine)
with orm.Session(engine) as session:
    session.add_all(Customer(name=f"customer {i}", orders=[Order(amount=k) for k in range(3)])
                    for i in range(100))
    session.commit()
    assert len(session.scalars(sa.select(Order)).all()) == 300
    # Each one's orders in a statement of its own, then those of all in one.
    for customer in session.scalars(sa.select(Customer).where(Customer.id <= 10)):
        assert len(customer.orders) == 3
    session.expire_all()
    customers = session.scalars(sa.select(Customer).options(orm.selectinload(Customer.orders))).all()
    assert sum(order.amount for customer in customers for order in customer.orders) == 300
    customers[0].name = "another"
    session.delete(customers[1])
    session.commit()
    session.add(Customer(name="another"))
    try:
        session.flush()
    except sa.exc.IntegrityError:
        session.rollback()
    with session.begin_nested():
        session.add(Customer(name="nested"))
    session.rollback()


def work(number):
    for i in range(10):
        with orm.Session(engine) as session, session.begin():
            customer = session.get(Customer, 10 + number)
            customer.name = f"renamed {number} {i}"
            assert session.scalar(sa.select(sa.func.count()).select_from(Order)) == 297


threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
Base.metadata.drop_all(engine)
engine.dispose()
