# Release image. Installs the wheel from dist/, which .github/workflows/release.yml or `make wheel` builds. Contains no
# compiler.
#
#     docker build -t hypervisor . && docker run -p 8545:8545 hypervisor
FROM python:3.13-slim
COPY dist/*.whl /tmp/dist/
RUN pip install --no-cache-dir --only-binary :all: /tmp/dist/*.whl \
    && rm -r /tmp/dist \
    && useradd --create-home hypervisor \
    && install --directory --owner hypervisor /chain
USER hypervisor
WORKDIR /chain
EXPOSE 8545
ENTRYPOINT ["hypervisor"]
CMD ["node", "--host", "0.0.0.0"]
