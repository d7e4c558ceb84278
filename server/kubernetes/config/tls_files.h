// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_CONFIG_TLS_FILES_H_
#define GANTRY_SERVER_KUBERNETES_CONFIG_TLS_FILES_H_

#include <string>

#include "absl/status/statusor.h"

namespace gantry::kubernetes {

// Text that is given as it is or stands in a file; both empty: not given. `data` wins.
struct DataOrFile {
  std::string data;
  std::string file;
  bool empty() const { return data.empty() && file.empty(); }
  bool operator==(const DataOrFile&) const = default;
};

// How to recognize a server over TLS, and how to be recognized by it. All PEM.
struct TlsFiles {
  DataOrFile ca;           // empty: the system's
  DataOrFile certificate;  // with its chain; empty: none is presented
  DataOrFile key;
  std::string server_name;  // asked for and verified instead of the URL's host; may be empty
  bool insecure_skip_verify = false;
  bool operator==(const TlsFiles&) const = default;
};

// A certificate chain and its private key, PEM.
struct ClientCertificate {
  std::string certificate;
  std::string key;
  bool operator==(const ClientCertificate&) const = default;
};

// What was read from TlsFiles. Never changed once made.
struct TlsMaterial {
  std::string ca;
  ClientCertificate client;
  bool operator==(const TlsMaterial&) const = default;
};

// Reads the files and checks that they hold PEM of the kind expected. Errors name the file.
absl::StatusOr<TlsMaterial> ReadTlsFiles(const TlsFiles& files);

// The content of `item`, whichever way it is given. Errors name `what` and the file.
absl::StatusOr<std::string> ReadDataOrFile(const DataOrFile& item, std::string_view what);

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_CONFIG_TLS_FILES_H_
