-- Keys, indexes, views.

ALTER TABLE crm.customers ADD PRIMARY KEY (id), ADD UNIQUE (email);
CREATE INDEX ON crm.customers USING gin (preferences);
CREATE INDEX "customers by ""search name""" ON crm.customers (search_name text_pattern_ops) WHERE tier <> 'basic';
ALTER TABLE crm.contact_notes ADD FOREIGN KEY (customer_id) REFERENCES crm.customers ON DELETE CASCADE;
ALTER TABLE catalogue.products ADD PRIMARY KEY (id), ADD CONSTRAINT "sku's form" CHECK (sku ~ '^SKU-\d+$') NOT VALID;
CREATE INDEX ON catalogue.products USING gin (search);
ALTER TABLE sales.orders ADD PRIMARY KEY (id, placed_on, region);
ALTER TABLE sales.orders ADD FOREIGN KEY (customer_id) REFERENCES crm.customers;
ALTER TABLE sales.order_lines ADD PRIMARY KEY (order_id, placed_on, region, line_no);
ALTER TABLE sales.order_lines ADD FOREIGN KEY (order_id, placed_on, region) REFERENCES sales.orders;
ALTER TABLE sales.order_lines ADD FOREIGN KEY (product_id) REFERENCES catalogue.products;
ALTER TABLE sales.price_periods ADD FOREIGN KEY (product_id) REFERENCES catalogue.products;
CREATE INDEX ON web.page_views USING brin (seen_at);
ALTER TABLE staff.departments ADD PRIMARY KEY (id);
ALTER TABLE staff.employees ADD PRIMARY KEY (id);
ALTER TABLE staff.departments ADD FOREIGN KEY (head_id) REFERENCES staff.employees DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE staff.employees ADD FOREIGN KEY (department_id) REFERENCES staff.departments;
ALTER TABLE staff.employees ADD FOREIGN KEY (boss_id) REFERENCES staff.employees;
ALTER TABLE "Größe & Maße"."Tabelle ""mit"" 'allem'" ADD PRIMARY KEY ("Id");
COMMENT ON CONSTRAINT "sku's form" ON catalogue.products IS 'not valid for old rows';
COMMENT ON INDEX crm."customers by ""search name""" IS 'partial';
CREATE STATISTICS sales.orders_by_region ON region, customer_id FROM sales.orders_2023;

CREATE VIEW sales.open_orders AS
  SELECT o.id, o.placed_on, c.full_name AS "customer's name", sales.net(o.total) AS net
  FROM sales.orders o JOIN crm.customers c ON c.id = o.customer_id
  WHERE o.delivery IS NULL;
CREATE VIEW "Größe & Maße"."Sicht ""1""" WITH (security_barrier) AS
  SELECT "Id", "emoji 🐘" FROM "Größe & Maße"."Tabelle ""mit"" 'allem'" WHERE "Id" > 0;
CREATE MATERIALIZED VIEW sales.turnover AS
  SELECT date_trunc('month', placed_on) AS month, region, sum(total) AS turnover, count(*) AS orders
  FROM sales.orders GROUP BY 1, 2;
CREATE UNIQUE INDEX ON sales.turnover (month, region);
CREATE MATERIALIZED VIEW sales.not_refreshed AS SELECT * FROM sales.turnover WITH NO DATA;
CREATE RULE no_deletes AS ON DELETE TO crm.complaints DO INSTEAD NOTHING;
